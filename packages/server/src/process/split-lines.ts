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

  return {
    push: (chunk) => {
      const lines: Line[] = []
      let from = 0
      for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
        lines.push(finish(chunk.subarray(from, at)))
        from = at + 1
      }
      hold(chunk.subarray(from))
      return lines
    },
    pending: () => held + dropped,
  }
}
