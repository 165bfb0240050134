import { spawnSync } from 'node:child_process'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './until.ts'

const run = (command: string, ...args: string[]): void => {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
}

const isUnmounted = (path: string): boolean => {
  const { status, stderr } = spawnSync('umount', [path], { encoding: 'utf8', timeout: 20_000 })
  if (status !== 0 && !stderr.includes('busy')) throw new Error(`umount ${path}: ${stderr}`)
  return status === 0
}

/** A disk that is soon full: a tmpfs of so many kilobytes and files, until it is disposed of. Only root can mount one. */
export const mountSmallDisk = async (
  kilobytes: number,
  { files = 100_000, within = tmpdir() }: { files?: number; within?: string } = {},
): Promise<AsyncDisposable & { path: string }> => {
  const path = await mkdtemp(join(within, 'aicm-disk-'))
  run('mount', '-t', 'tmpfs', '-o', `size=${kilobytes}k,nr_inodes=${files}`, 'tmpfs', path)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      // Whoever was just ended may still have a file open.
      await until('the disk is not used any more', () => isUnmounted(path))
      await rmdir(path)
    },
  }
}
