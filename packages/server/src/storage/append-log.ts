import type { Append } from './event-store.ts'

/** Appends that another store could not take: kept in order until it can. */
export type AppendLog = {
  /** Resolves when it survives a power cut; `onWritten` as with EventStore.append. */
  add(append: Append, onWritten?: () => void): Promise<void>
  /** Sessions that have something here. */
  sessionIds(): string[]
  /** A session's appends, oldest first. */
  of(sessionId: string): Append[]
  /** They are elsewhere now. */
  remove(sessionId: string): Promise<void>
  /** They fit nowhere any more: kept in the file for a person, and never given out again. */
  setAside(sessionId: string): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
