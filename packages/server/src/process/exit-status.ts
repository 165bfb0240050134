import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'

/**
 * How a process ended. `code` is null when nobody was left to write it down (the wrapper itself was killed). `diskFull`: there
 * was no room where it writes what it says.
 */
export type Exit = { code: number | null; signal: string | null; outOfMemory?: boolean; diskFull?: boolean }

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** A shell and bwrap alike report a signal as 128 + its number. */
export const exitOf = (code: number): Exit =>
  code > 128 && signalNames.has(code - 128)
    ? { code, signal: signalNames.get(code - 128) ?? null }
    : { code, signal: null }

const statusLines = async (path: string): Promise<Record<string, unknown>[]> => {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line)
      return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : []
    } catch {
      return []
    }
  })
}

const numberIn = async (path: string, key: string): Promise<number | undefined> =>
  (await statusLines(path)).map((line) => line[key]).findLast((value) => typeof value === 'number') as
    | number
    | undefined

/** What the exit status file says: written by `bwrap --json-status-fd`, or by the shell that stands in for it. */
export const readExit = async (path: string): Promise<Exit | undefined> => {
  const code = await numberIn(path, 'exit-code')
  return code === undefined ? undefined : exitOf(code)
}

/** The pid of the sandbox's init, as bwrap reports it. */
export const readSandboxPid = (path: string): Promise<number | undefined> => numberIn(path, 'child-pid')
