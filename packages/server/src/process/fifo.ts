import { rename } from 'node:fs/promises'
import { systemPath } from '../lib/system-path.ts'
import { run } from './run.ts'

/** Makes a FIFO at a path that does not exist yet. */
export type MakeFifo = (path: string) => Promise<void>

/** Node cannot make one: a program has to be started for it. */
export const makeFifo: MakeFifo = async (path) => {
  const made = await run(['mkfifo', '-m', '600', path], { env: { PATH: systemPath }, timeoutMs: 5000 })
  if (made.code !== 0) throw new Error(`mkfifo failed: ${made.stderr.trim()}`)
}

/** When nobody waits for a start any more. */
const makeNextAfterMs = 1000

/**
 * Keeps one ready for the next start, at `spare`, on the same file system: the 7 ms are spent while nobody waits for them.
 * One that an earlier server has left there is as good as any.
 */
export const makeFifoAhead = (spare: string): MakeFifo => {
  let making = false

  const makeNext = (): void => {
    if (making) return
    making = true
    const timer = setTimeout(() => {
      // It may be there already, and without one the next start makes its own.
      makeFifo(spare)
        .catch(() => undefined)
        .finally(() => (making = false))
    }, makeNextAfterMs)
    timer.unref()
  }

  return async (path) => {
    try {
      await rename(spare, path)
    } catch {
      await makeFifo(path)
    }
    makeNext()
  }
}
