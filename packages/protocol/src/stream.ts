import { Type, type Static } from 'typebox'
import { Seq, TurnId } from './ids.ts'
import { Message } from './message.ts'
import { BlockId, ParentToolUseId } from './messages/base.ts'

/**
 * Live text of a block that is still growing. Not stored: `at` is the offset of `text` in the block, in UTF-16 code units,
 * so a client that puts each delta at its `at` has the same text however often it was cut off. `after` is the last durable
 * message before it. The durable message that ends the block carries the same `block` and all of the text.
 */
export const Delta = Type.Object({
  type: Type.Literal('delta'),
  after: Seq,
  turnId: Type.Optional(TurnId),
  block: BlockId,
  kind: Type.Union([Type.Literal('text'), Type.Literal('thinking'), Type.Literal('tool_use')]),
  at: Type.Integer({ minimum: 0 }),
  text: Type.String(),
  name: Type.Optional(Type.String({ description: 'The tool, for kind tool_use' })),
  parentToolUseId: ParentToolUseId,
})
export type Delta = Static<typeof Delta>

/** What a session's stream is made of. */
export const StreamItem = Type.Union([Message, Delta])
export type StreamItem = Static<typeof StreamItem>

/**
 * What becomes of a reader that is slower than the session. `resume`: it is told where it fell behind, and catches up from the
 * log. `drop-deltas`: it gets whole messages only until it has caught up. `disconnect`: it is cut off, with its cursor.
 */
export const SlowPolicy = Type.Union([Type.Literal('resume'), Type.Literal('drop-deltas'), Type.Literal('disconnect')])
export type SlowPolicy = Static<typeof SlowPolicy>

/** The WebSocket close code of `disconnect`. The reason is `behind <sessionId> <cursor>`. */
export const slowReaderCode = 4008

/** The WebSocket close code for whoever is let in no longer: logged out, removed, an API key that was deleted or has expired. */
export const accessLostCode = 4001

/** Where a reader is: it has every message up to `seq`, and of `block` the first `at` code units. */
export type Cursor = { seq: number; block?: string; at?: number }

/** `12` or `12:block:340`: the form of a cursor in `?after=` and in the SSE `id`/`Last-Event-ID`. */
export const CursorText = Type.String({ pattern: '^\\d{1,15}(:[^:\\s]+:\\d{1,15})?$' })

export const formatCursor = ({ seq, block, at }: Cursor): string =>
  block === undefined ? `${seq}` : `${seq}:${block}:${at ?? 0}`

/** Undefined when the text is no cursor. */
export const parseCursor = (text: string): Cursor | undefined => {
  const match = /^(\d{1,15})(?::([^:\s]+):(\d{1,15}))?$/.exec(text)
  if (match === null) return undefined
  const [, seq, block, at] = match
  return block === undefined ? { seq: Number(seq) } : { seq: Number(seq), block, at: Number(at) }
}

/** The cursor of a reader that has just taken `item`. */
export const cursorAfter = (item: StreamItem): Cursor =>
  item.type === 'delta' ? { seq: item.after, block: item.block, at: item.at + item.text.length } : { seq: item.seq }
