import { readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { watchFile } from './file-changes.ts'
import { createSplitter, type Line } from './split-lines.ts'

/** A line longer than this is cut and marked, never held whole. */
const maxLineBytes = 8 * 1024 * 1024
/** Read at a time. A reader that is behind takes more in one go, and so in one transaction. */
const chunkBytes = { first: 16 * 1024, most: 1024 * 1024 }

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
  /** Called each time the end of the file was reached, at `position`, and everything before it has been taken. */
  onCaughtUp?: (position: number) => void
}): AsyncGenerator<Line[], void, void> {
  await using file = await open(path, 'r')
  const splitter = createSplitter({ from, maxBytes: maxLineBytes })
  let chunk = Buffer.allocUnsafe(chunkBytes.first)
  let position = from

  const changes = watchFile(path, ended)
  let grew = false
  try {
    while (true) {
      await changes.next(grew)
      grew = false
      const last = ended.aborted
      for (let reads = 0; ; reads++) {
        // What was just written is in memory: handing that to another thread would take longer than reading it. Whoever is
        // far behind reads in turn with everybody else.
        const bytesRead =
          reads === 0
            ? readSync(file.fd, chunk, 0, chunk.length, position)
            : (await file.read(chunk, 0, chunk.length, position)).bytesRead
        if (bytesRead === 0) break
        position += bytesRead
        grew = true
        const lines = splitter.push(chunk.subarray(0, bytesRead))
        if (lines.length > 0) yield lines
        // Not full is the end of the file for now. Behind it a line or two may have come meanwhile: better more at a time.
        if (bytesRead < chunk.length && !last) break
        if (chunk.length < chunkBytes.most) chunk = Buffer.allocUnsafe(Math.min(chunkBytes.most, chunk.length * 16))
      }
      onCaughtUp?.(position)
      if (last) return
    }
  } finally {
    changes.close()
  }
}
