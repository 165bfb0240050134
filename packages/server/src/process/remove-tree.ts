import { setTimeout as delay } from 'node:timers/promises'
import { systemPath } from '../lib/system-path.ts'
import { run } from './run.ts'

const timeoutMs = 15 * 60_000
const retryMs = 250

/**
 * Removes a folder and all in it where a session may still be writing. Node's own `rm` goes by paths: a folder that is swapped
 * for a link between two of its calls leads it outside, with all the rights of the server. The system's goes by open folders.
 * Tried again for `patienceMs`: a session that was closed a moment ago may put things there until its process has ended.
 * What is not there is as good as removed. Rejects when `signal` is aborted, with some of it removed.
 */
export const removeTree = async (
  path: string,
  { patienceMs = 10_000, signal }: { patienceMs?: number; signal?: AbortSignal } = {},
): Promise<void> => {
  // `rm` has descriptors of its own.
  const ours = path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`)
  const deadline = performance.now() + patienceMs
  const env = { PATH: systemPath, LANG: 'C' }
  while (true) {
    signal?.throwIfAborted()
    const { code, stderr } = await run(['rm', '-rf', '--', ours], { env, timeoutMs, ...(signal && { signal }) })
    if (code === 0) return
    signal?.throwIfAborted()
    if (performance.now() > deadline) throw new Error(`${path} could not be removed: ${stderr.trim().slice(0, 300)}`)
    await delay(retryMs, undefined, { ...(signal && { signal }) })
  }
}
