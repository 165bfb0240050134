import { setTimeout as delay } from 'node:timers/promises'
import { systemPath } from '../lib/system-path.ts'
import { run } from './run.ts'

const timeoutMs = 15 * 60_000
const retryMs = 250

/**
 * Removes a folder and all in it where a session may still be writing. Node's own `rm` goes by paths: a folder that is swapped
 * for a link between two of its calls leads it outside, with all the rights of the server. The system's goes by open folders.
 * Tried again for `patienceMs`: a session that was closed a moment ago may put things there until its process has ended.
 * What is not there is as good as removed.
 */
export const removeTree = async (path: string, { patienceMs = 10_000 } = {}): Promise<void> => {
  // `rm` has descriptors of its own.
  const ours = path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`)
  const deadline = performance.now() + patienceMs
  while (true) {
    const { code, stderr } = await run(['rm', '-rf', '--', ours], { env: { PATH: systemPath, LANG: 'C' }, timeoutMs })
    if (code === 0) return
    if (performance.now() > deadline) throw new Error(`${path} could not be removed: ${stderr.trim().slice(0, 300)}`)
    await delay(retryMs)
  }
}
