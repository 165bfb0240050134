import type { Message, PromptMessage } from '@aicm/protocol'
import type { SessionRecord } from './session-store.ts'

export type Append = {
  /** The session as it is after these events: stored in the same transaction. `record.lastSeq` is the last event's seq. */
  record: SessionRecord
  /** What the stored lastSeq must be before; another value means a second writer, and nothing is written. */
  expectedSeq: number
  /** Gapless from expectedSeq + 1. May be empty when only the record changed. */
  events: Message[]
}

export type EventQuery = { sessionId: string; after: number; limit: number }

/** A message as JSON. */
export type EventText = { seq: number; json: string }

/** The append-only log of every session. What append has resolved for survives a power cut. */
export type EventStore = {
  /**
   * All or nothing. Rejects with AppError storage_full, storage_unavailable, or internal for a sequence conflict.
   * `onWritten` is called before it resolves, when the change outlives this process, though perhaps not yet a power cut: good
   * enough for whatever a power cut ends too.
   */
  append(append: Append, onWritten?: () => void): Promise<void>
  /** Events with seq > after, in order. */
  read(query: EventQuery): Promise<Message[]>
  /** The same as they are stored, for readers who pass them on. */
  readText(query: EventQuery): Promise<EventText[]>
  findPrompt(sessionId: string, turnId: string): Promise<PromptMessage | undefined>
  /** How many bytes the events after `after` take, and the seq of the last of them (`after` when there is none). */
  countBytes(query: { sessionId: string; after: number }): Promise<{ bytes: number; lastSeq: number }>
  /** The `complete` of a turn, once it is there. */
  findComplete(sessionId: string, turnId: string): Promise<Extract<Message, { type: 'complete' }> | undefined>
}
