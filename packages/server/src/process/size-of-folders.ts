import { systemPath } from '../lib/system-path.ts'
import { run } from './run.ts'

const mostMs = 5 * 60_000

/**
 * The space that folders take on the disk. Links are not followed, and what goes away meanwhile is nothing. What a session has
 * closed to the server, or filled with more files than can be looked at in minutes, cannot be counted: that is Infinity. By the
 * system's `du`: it counts a file in some microseconds, without this process, and goes by open folders (see removeTree).
 */
export const sizeOfFolders = async (folders: readonly string[], signal?: AbortSignal): Promise<number> => {
  if (folders.length === 0) return 0
  const { code, stdout, stderr } = await run(['nice', 'du', '-skc', '--', ...folders], {
    env: { PATH: systemPath, LANG: 'C' },
    timeoutMs: mostMs,
    signal,
  })
  signal?.throwIfAborted()
  if (code === null || stderr.includes('Permission denied')) return Number.POSITIVE_INFINITY
  const total = /(?:^|\n)(\d+)\ttotal\n$/.exec(stdout)?.[1]
  if (total === undefined) throw new Error(`du ended with ${code}: ${stderr.slice(0, 300)}`)
  return Number(total) * 1024
}
