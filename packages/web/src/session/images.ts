import type { ContentBlock } from '@aicm/protocol'
import { formatBytes } from '../ui/format.ts'

export type ImageBlock = Extract<ContentBlock, { type: 'image' }>
export type Attachment = { id: string; name: string; block: ImageBlock }

const mediaTypes = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const
export const acceptedImages = mediaTypes.join(',')
export const maxImageBytes = 5 * 1024 * 1024

export const imageUrl = ({ source }: ImageBlock): string => `data:${source.media_type};base64,${source.data}`

/** Why a file cannot be attached; undefined when it can. */
export const imageProblem = ({
  name,
  type,
  size,
}: {
  name: string
  type: string
  size: number
}): string | undefined => {
  if (!mediaTypes.some((known) => known === type))
    return `${name}: only PNG, JPEG, GIF and WebP images can be attached.`
  if (size > maxImageBytes) return `${name} has ${formatBytes(size)}; an image may have ${formatBytes(maxImageBytes)}.`
  return size === 0 ? `${name} is empty.` : undefined
}

/** Reads an image that has no `imageProblem`. */
export const readImage = async (file: File, id: string): Promise<Attachment> => {
  const media_type = mediaTypes.find((known) => known === file.type) ?? 'image/png'
  const data = toBase64(new Uint8Array(await file.arrayBuffer()))
  return { id, name: file.name, block: { type: 'image', source: { type: 'base64', media_type, data } } }
}

export const toBase64 = (bytes: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
  return btoa(text)
}

/** A prompt's blocks: images first, as the API advises, then the text. */
export const promptContent = (text: string, images: readonly Attachment[]): ContentBlock[] => [
  ...images.map(({ block }) => block),
  ...(text.trim() === '' ? [] : [{ type: 'text' as const, text }]),
]

/** The way back: what a prompt was typed from. */
export const promptText = (content: readonly ContentBlock[]): string =>
  content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('\n\n')
