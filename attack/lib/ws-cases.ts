import { frame, openFrames, opcodes, type Frame, type FrameSocket } from './frames.ts'
import { parsed } from './http.ts'
import { flatness, memoryRise } from './memory.ts'
import type { Attack, Try } from './row.ts'
import type { Target } from './target.ts'

/** Bytes to send, and what must come back first; what is sent by itself, as `hello`, is left out. */
export type Case = {
  name: string
  expected: string
  /** Each is a write of its own. */
  bytes: readonly Uint8Array[]
  /** How many answers are looked at; one when absent. */
  answers?: number
}

/** A request that the server answers with `pong`, as long as it shall be: JSON may end in spaces. */
export const request = (bytes = 0): string => '{"type":"ping","ref":"frame"}'.padEnd(bytes)

const message = (payload: Buffer): string => {
  const value = parsed(payload.toString('utf8'))
  if (typeof value !== 'object' || value === null || !('type' in value)) return 'a message that is no JSON'
  const error = 'error' in value && typeof value.error === 'object' && value.error !== null ? value.error : undefined
  return error !== undefined && 'code' in error ? `error ${error.code}` : `message ${value.type}`
}

export const seenOfFrame = (found: Frame | undefined): string => {
  if (found === undefined) return 'closed'
  const { opcode, payload, fin, rsv, masked } = found
  if (masked || rsv !== 0 || !fin) return 'a frame that no server may send'
  if (opcode === opcodes.text) return message(payload)
  if (opcode === opcodes.close) return payload.length === 0 ? 'close' : `close ${payload.readUInt16BE(0)}`
  if (opcode === opcodes.pong) return `pong of ${payload.length}`
  return `a frame with opcode ${opcode}`
}

const unasked = new Set(['message hello', 'message health', 'a frame with opcode 9'])

/** The next frame that answers something. */
export const nextAnswer = async (socket: FrameSocket): Promise<string> => {
  while (true) {
    const seen = seenOfFrame(await socket.next())
    if (!unasked.has(seen)) return seen
  }
}

const runCase = async (target: Target, one: Case): Promise<string> => {
  using socket = await openFrames(target.url, target.alice.token)
  for (const bytes of one.bytes) {
    socket.write(bytes)
    await socket.drained()
  }
  const seen: string[] = []
  for (let at = 0; at < (one.answers ?? 1); at++) seen.push(await nextAnswer(socket))
  const [first = ''] = seen
  return seen.length > 2 && seen.every((other) => other === first) ? `${first} ×${seen.length}` : seen.join(', ')
}

/** Somebody else's connection, which must not notice. */
const bystander = async (target: Target): Promise<FrameSocket> => openFrames(target.url, target.bob.token)

/** Runs the cases of a family, each in a connection of its own; afterwards another's connection works and memory is flat. */
export const runFamily = async (
  attack: Attack,
  attempt: Try,
  cases: readonly Case[],
  { riseMegabytes = 64 } = {},
): Promise<void> => {
  const target = await attack.shared()
  using other = await bystander(target)
  const rise = await memoryRise(target.server.pid(), async () => {
    for (const one of cases) attempt(one.name, one.expected, await runCase(target, one))
  })
  other.write(frame(opcodes.text, request()))
  attempt("another's connection afterwards", 'message pong', await nextAnswer(other))
  attempt("the server's memory", 'flat', flatness(rise, riseMegabytes))
}
