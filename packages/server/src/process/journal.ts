import { watch, type FSWatcher } from 'node:fs'
import { open } from 'node:fs/promises'
import { createSplitter, type Line } from './split-lines.ts'

/** A line longer than this is cut and marked, never held whole. */
const maxLineBytes = 8 * 1024 * 1024
/** Read at a time. A reader that is behind takes more in one go, and so in one transaction. */
const chunkBytes = { first: 64 * 1024, most: 1024 * 1024 }
/** What catches up where the file system tells no changes (network mounts), and repairs a missed one elsewhere. */
const pollMs = { watched: 1000, unwatched: 50 }

/**
 * Follows a file that another process appends to, from byte `from`: yields the lines of each read. Ends when `ended`
 * has been aborted and everything up to the end of the file was yielded; a last line without a newline is left out.
 */
export async function* followJournal({
  path,
  from,
  ended,
  onCaughtUp,
}: {
  path: string
  from: number
  ended: AbortSignal
  /** Called each time the end of the file was reached and everything before it has been taken. */
  onCaughtUp?: () => void
}): AsyncGenerator<Line[], void, void> {
  await using file = await open(path, 'r')
  const splitter = createSplitter({ from, maxBytes: maxLineBytes })
  let chunk = Buffer.allocUnsafe(chunkBytes.first)
  let position = from

  // A change between a read and the wait must not be missed: it is remembered here.
  let changed = true
  let wake: (() => void) | undefined
  const notify = (): void => {
    changed = true
    wake?.()
  }
  let watcher: FSWatcher | undefined
  try {
    watcher = watch(path, notify)
    watcher.on('error', () => watcher?.close())
  } catch {
    watcher = undefined
  }
  const poll = setInterval(notify, watcher === undefined ? pollMs.unwatched : pollMs.watched)
  ended.addEventListener('abort', notify)
  try {
    while (true) {
      if (!changed) await new Promise<void>((resolve) => (wake = resolve))
      wake = undefined
      changed = false
      const last = ended.aborted
      while (true) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, position)
        if (bytesRead === 0) break
        position += bytesRead
        const lines = splitter.push(chunk.subarray(0, bytesRead))
        if (lines.length > 0) yield lines
        if (bytesRead === chunk.length && bytesRead < chunkBytes.most) chunk = Buffer.allocUnsafe(chunkBytes.most)
      }
      onCaughtUp?.()
      if (last) return
    }
  } finally {
    ended.removeEventListener('abort', notify)
    clearInterval(poll)
    watcher?.close()
  }
}
