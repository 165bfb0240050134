import type { Cursor, Delta, Message, Session, StreamItem } from '@aicm/protocol'

type Unstored<M extends Message> = M extends Message ? Omit<M, 'seq' | 'time'> : never

/** A session of the fake server: a log, the blocks that are growing, and who listens. */
export type FakeSession = {
  info: Session
  log: Message[]
  /** Stores a message and tells the listeners. */
  store(message: Unstored<Message>): Message
  /** Lets a block grow. */
  grow(delta: Pick<Delta, 'block' | 'text'> & Partial<Pick<Delta, 'kind' | 'turnId' | 'name'>>): void
  /** What a reader at this cursor lacks now. */
  since(cursor: Cursor): StreamItem[]
  listeners: Set<(item: StreamItem) => void>
}

export const createFakeSession = (info: Session): FakeSession => {
  const log: Message[] = []
  const open = new Map<string, Delta>()
  const listeners = new Set<(item: StreamItem) => void>()
  const tell = (item: StreamItem) => {
    for (const listener of [...listeners]) listener(item)
  }

  return {
    info,
    log,
    listeners,
    store: (unstored) => {
      const message = { ...unstored, seq: log.length + 1, time: new Date(0).toISOString() }
      log.push(message)
      info.lastSeq = message.seq
      if (message.type === 'status') info.status = message.status
      if ('block' in message) open.delete(message.block)
      tell(message)
      return message
    },
    grow: ({ block, text, kind = 'text', ...rest }) => {
      const before = open.get(block)
      const whole = (before?.text ?? '') + text
      open.set(block, { type: 'delta', after: log.length, block, kind, at: 0, ...rest, text: whole })
      tell({ type: 'delta', after: log.length, block, kind, at: whole.length - text.length, ...rest, text })
    },
    since: ({ seq, block, at = 0 }) => [
      ...log.slice(seq),
      ...[...open.values()].map((delta) => {
        const from = delta.block === block ? at : 0
        return { ...delta, after: log.length, at: from, text: delta.text.slice(from) }
      }),
    ],
  }
}
