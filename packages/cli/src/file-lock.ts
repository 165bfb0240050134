import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CliError, exitCodes } from './cli-error.ts'

const lookAgainMs = 25
const patienceMs = 45_000

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Whether the lock was there to be taken. One that a dead process has left is removed. */
const take = async (lock: string): Promise<boolean> => {
  try {
    await writeFile(lock, `${process.pid}`, { mode: 0o600, flag: 'wx' })
    return true
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  const owner = Number(await readFile(lock, 'utf8').catch(() => ''))
  // Without a number in it, it is being made, or was removed just now.
  if (owner > 0 && !isRunning(owner)) await rm(lock, { force: true })
  return false
}

/** Runs `work` while no other process does so with this file. */
export const withFileLock = async <T>(path: string, work: () => Promise<T>): Promise<T> => {
  const lock = `${path}.lock`
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const deadline = performance.now() + patienceMs
  while (!(await take(lock))) {
    if (performance.now() > deadline)
      throw new CliError({
        code: 'config_unusable',
        message: `Another aicm holds ${lock}.`,
        hint: 'Remove that file if no other one runs.',
        exitCode: exitCodes.failed,
      })
    await sleep(lookAgainMs)
  }
  try {
    return await work()
  } finally {
    await rm(lock, { force: true })
  }
}
