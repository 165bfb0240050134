import { chunkBytes, frameKinds } from './helper-protocol.ts'

export type Frame = { kind: 'json'; value: unknown } | { kind: 'data'; data: Buffer }

/** What a list takes at most, and some more. */
const maxJsonBytes = 16 * 1024 * 1024
const headBytes = 5

export const encodeFrame = (kind: keyof typeof frameKinds, payload: Uint8Array): Buffer => {
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(payload.length)
  head.writeUInt8(frameKinds[kind], 4)
  return Buffer.concat([head, payload])
}

/**
 * The frames of a stream. Throws where they are none: without a sandbox, whoever else runs as the same user can make the
 * helper say anything, so its word counts as theirs.
 */
export async function* readFrames(stream: AsyncIterable<Buffer>): AsyncGenerator<Frame, void, void> {
  let waiting: Buffer[] = []
  let held = 0
  /** So many bytes are waited for: the pieces of a long frame are put together once. */
  let needed = headBytes
  const joined = (): Buffer => {
    const [first, ...more] = waiting
    if (first !== undefined && more.length === 0) return first
    const all = Buffer.concat(waiting)
    waiting = [all]
    return all
  }
  for await (const chunk of stream) {
    waiting.push(chunk)
    held += chunk.length
    while (held >= needed) {
      const all = joined()
      const length = all.readUInt32BE()
      const kind = all.readUInt8(4)
      const most = kind === frameKinds.data ? chunkBytes : maxJsonBytes
      if (length > most || (kind !== frameKinds.data && kind !== frameKinds.json))
        throw new Error(`the helper sent a frame of kind ${kind} and ${length} bytes`)
      needed = headBytes + length
      if (held < needed) break
      const payload = all.subarray(headBytes, needed)
      waiting = [all.subarray(needed)]
      held -= needed
      needed = headBytes
      yield kind === frameKinds.data
        ? { kind: 'data', data: payload }
        : { kind: 'json', value: JSON.parse(payload.toString()) }
    }
  }
}
