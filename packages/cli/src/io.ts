import type { Readable, Writable } from 'node:stream'

export type Input = Readable & { isTTY?: boolean; setRawMode?: (raw: boolean) => unknown }
export type Output = Writable & { isTTY?: boolean; columns?: number }

/** All of the world that the program touches, so that it can also run inside a test. */
export type Io = {
  env: Record<string, string | undefined>
  stdin: Input
  stdout: Output
  stderr: Output
  /** Calls `handler` for each such signal; returns the way to stop it. */
  onSignal(signal: 'SIGINT' | 'SIGTERM', handler: () => void): () => void
}

export const processIo = (): Io => ({
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal: (signal, handler) => {
    process.on(signal, handler)
    return () => void process.off(signal, handler)
  },
})
