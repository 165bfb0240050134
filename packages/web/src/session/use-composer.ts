import { randomUuid } from '@aicm/client'
import type { ContentBlock } from '@aicm/protocol'
import { useCallback, useEffect, useState } from 'react'
import { toast } from 'sonner'
import { useApp } from '../app/app.tsx'
import { imageProblem, promptText, readImage, type Attachment, type ImageBlock } from './images.ts'

/** What is being written for a session: its text (kept as a draft) and its images. */
export const useComposer = (sessionId: string) => {
  const { drafts } = useApp()
  const [text, setText] = useState(() => drafts.get(sessionId))
  const [images, setImages] = useState<readonly Attachment[]>([])

  useEffect(() => {
    drafts.set(sessionId, text)
  }, [drafts, sessionId, text])

  const attach = useCallback(async (files: Iterable<File>) => {
    for (const file of files) {
      const problem = imageProblem(file)
      if (problem !== undefined) {
        toast.error(problem)
        continue
      }
      const image = await readImage(file, randomUuid())
      setImages((now) => [...now, image])
    }
  }, [])

  const detach = (id: string) => setImages((now) => now.filter((image) => image.id !== id))

  const clear = () => {
    setText('')
    setImages([])
  }

  /** Puts a prompt back, before what has been written since. */
  const restore = (content: readonly ContentBlock[]) => {
    const back = promptText(content)
    const pictures = content.filter((block): block is ImageBlock => block.type === 'image')
    setText((now) => (now.trim() === '' ? back : `${back}\n\n${now}`))
    setImages((now) => [...pictures.map((block) => ({ id: randomUuid(), name: 'image', block })), ...now])
  }

  return { text, setText, images, attach, detach, clear, restore }
}

export type ComposerState = ReturnType<typeof useComposer>
