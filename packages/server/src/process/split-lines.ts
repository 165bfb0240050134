import { isAscii } from 'node:buffer'

/** A line of a journal: `start` and `end` are byte offsets in the file, `end` past its newline. */
export type Line = { start: number; end: number } & (
  | { kind: 'whole'; text: string }
  | { kind: 'oversized'; head: string; bytes: number }
)

export type Splitter = {
  /** The lines that `chunk` completes. The chunk may be reused by the caller afterwards. */
  push(chunk: Buffer): Line[]
  /** Bytes of a last line that has no newline yet. */
  pending(): number
}

const newline = 10
const headBytes = 2000

/**
 * Cuts a byte stream into lines. A line of more than `maxBytes` is never held whole: its first bytes are kept, the rest is
 * counted and dropped, and the next line is as good as any.
 */
export const createSplitter = ({ from, maxBytes }: { from: number; maxBytes: number }): Splitter => {
  let lineStart = from
  let parts: Buffer[] = []
  let held = 0
  let dropped = 0

  const finish = (last: Buffer): Line => {
    const bytes = held + dropped + last.length
    const start = lineStart
    const end = start + bytes + 1
    const line: Line =
      bytes > maxBytes
        ? {
            kind: 'oversized',
            start,
            end,
            bytes,
            head: Buffer.concat([...parts, last.subarray(0, headBytes)]).toString('utf8', 0, headBytes),
          }
        : {
            kind: 'whole',
            start,
            end,
            text: parts.length === 0 ? last.toString('utf8') : Buffer.concat([...parts, last]).toString('utf8'),
          }
    lineStart = end
    parts = []
    held = 0
    dropped = 0
    return line
  }

  const hold = (rest: Buffer): void => {
    if (rest.length === 0) return
    if (dropped > 0 || held + rest.length > maxBytes) {
      // Keep the head only: enough to show what kind of line it was.
      if (dropped === 0) parts = [Buffer.concat([...parts, rest.subarray(0, headBytes)]).subarray(0, headBytes)]
      dropped += held + rest.length - (parts[0]?.length ?? 0)
      held = parts[0]?.length ?? 0
    } else {
      parts.push(Buffer.from(rest))
      held += rest.length
    }
  }

  /** The same for many lines that begin and end in one chunk of ASCII: cutting text is cheaper than cutting and decoding bytes. */
  const cutText = (chunk: Buffer, begin: number, lines: Line[]): number => {
    const text = chunk.toString('latin1')
    let from = begin
    for (let at = text.indexOf('\n', from); at >= 0; at = text.indexOf('\n', from)) {
      if (at - from > maxBytes) lines.push(finish(chunk.subarray(from, at)))
      else {
        const start = lineStart
        lineStart += at + 1 - from
        lines.push({ kind: 'whole', start, end: lineStart, text: text.slice(from, at) })
      }
      from = at + 1
    }
    return from
  }

  return {
    push: (chunk) => {
      const lines: Line[] = []
      let from = 0
      const first = chunk.indexOf(newline)
      if (first >= 0 && isAscii(chunk)) {
        lines.push(finish(chunk.subarray(0, first)))
        from = cutText(chunk, first + 1, lines)
      }
      for (let at = chunk.indexOf(newline, from); at >= 0; at = chunk.indexOf(newline, from)) {
        lines.push(finish(chunk.subarray(from, at)))
        from = at + 1
      }
      hold(chunk.subarray(from))
      return lines
    },
    pending: () => held + dropped,
  }
}
