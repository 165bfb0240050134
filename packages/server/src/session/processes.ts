import type { SessionProcess } from '../process/session-process.ts'
import type { SessionRecord } from '../storage/session-store.ts'

/** The processes of this node's sessions: started, found again after a restart of the server, forgotten when they have ended. */
export type RunningProcesses = {
  /** Starts the process of `record.state.generation`. It is on record before this resolves. */
  start(record: SessionRecord): Promise<SessionProcess>
  /** The process that an earlier server started for this generation: running or ended, as long as it is on record. */
  adopt(record: SessionRecord): Promise<{ process: SessionProcess; alive: boolean; checkpoint: number } | undefined>
  /** Remembers from where its journal must be read again after a restart. May be lost: an older one is right too. */
  checkpoint(sessionId: string, generation: number, offset: number): void
  /** Its end is in the log: its files are no longer needed. */
  forget(sessionId: string, process: SessionProcess): Promise<void>
  /** Ends what is left of sessions that no longer exist or are closed. Resolves with the number of trees ended. */
  sweep(isWanted: (sessionId: string) => boolean): Promise<number>
  count(): number
}
