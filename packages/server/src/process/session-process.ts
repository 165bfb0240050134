import type { Identity } from './identity.ts'
import type { Exit } from './exit-status.ts'
import type { Group } from './group.ts'
import type { Owner } from './owner.ts'
import type { Line } from './split-lines.ts'

/** Where one process of a session keeps its ends: a folder, `sessions/<session>/<generation>`. */
export const processFiles = (dir: string) => ({
  stdin: `${dir}/stdin.fifo`,
  stdout: `${dir}/stdout.ndjson`,
  stderr: `${dir}/stderr.log`,
  exit: `${dir}/exit.json`,
})

/** What is stored of a running process, enough for another server to take it over. */
export type ProcessRecord = {
  dir: string
  /** The outermost process: bwrap, or the shell that writes the exit status. */
  identity: Identity
  /** `NAME=value` in the environment of everything it started. */
  marker: string
  /** As whom it runs, if not as the server. */
  owner?: Owner | undefined
  /** What holds all of it, where that works. */
  group?: Group | undefined
}

/** A process that outlives the server: launched or adopted, it is the same. */
export type SessionProcess = {
  record: ProcessRecord
  /**
   * Writes at once, behind what was written before. Resolves when the bytes are in the pipe. Rejects when the process no longer
   * reads.
   */
  write(line: string): Promise<void>
  /** Everything it says from byte `from` on; ends after its exit, when all was read. `onCaughtUp`: see followJournal. */
  output(from: number, onCaughtUp?: () => void): AsyncIterable<Line[]>
  /** Resolves when it has ended and nothing of its tree is left. */
  exited: Promise<Exit>
  /**
   * SIGTERM to the innermost process, then, after `graceMs`, SIGKILL to the whole tree; `onIgnored` is called before that.
   * Resolves with `exited`.
   */
  stop(graceMs: number, onIgnored?: () => void): Promise<Exit>
  /** The last bytes of its error output. */
  stderrTail(): Promise<string>
  /** Lets go of it: it lives on. */
  release(): void
}
