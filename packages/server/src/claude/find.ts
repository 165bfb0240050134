import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { systemPath } from '../lib/system-path.ts'
import { run } from '../process/run.ts'

/** Where claude is, and what it says of itself. `error` tells why there is none, in words for the operator. */
export type ClaudeProgram = { path: string | null; version: string | null; error: string | null }

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** The native program of the optional npm dependency: its platform packages hold it, without the wrapper package. */
const bundled = (): string | undefined => {
  const require = createRequire(import.meta.url)
  for (const libc of ['', '-musl']) {
    try {
      const manifest = require.resolve(
        `@anthropic-ai/claude-code-${process.platform}-${process.arch}${libc}/package.json`,
      )
      const path = join(dirname(manifest), 'claude')
      if (isProgram(path)) return path
    } catch {
      // Not installed: npm leaves out what does not fit the machine.
    }
  }
  return undefined
}

/** The setting, else PATH, else the optional npm dependency. Looks only: nothing is started. */
export const findClaude = (options: {
  setting: string | undefined
  path: string
}): { path: string } | { error: string } => {
  if (options.setting !== undefined)
    return isProgram(options.setting)
      ? { path: realpathSync(options.setting) }
      : { error: `--claude names ${options.setting}, which is not an executable file.` }
  const onPath = options.path
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, 'claude'))
    .find(isProgram)
  const found = onPath ?? bundled()
  return found === undefined
    ? {
        error:
          'No claude was found: set --claude (AICM_CLAUDE_PATH), put it on PATH, or install @anthropic-ai/claude-code.',
      }
    : { path: realpathSync(found) }
}

/** The first one known to speak of its prompts by their ids, which everything here rests on. */
const oldest = '2.1.0'

const isOlder = (version: string, than: string): boolean => version.localeCompare(than, 'en', { numeric: true }) < 0

/** Asks the program for its version, in an empty environment. */
export const askVersion = async (path: string): Promise<ClaudeProgram> => {
  try {
    const { code, stdout, stderr } = await run([path, '--version'], {
      env: { PATH: systemPath, HOME: '/nonexistent', DISABLE_AUTOUPDATER: '1' },
      timeoutMs: 20_000,
    })
    const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0]
    if (version === undefined)
      return {
        path,
        version: null,
        error: `${path} --version ended with ${code} and no version: ${stderr.slice(0, 200)}`,
      }
    return {
      path,
      version,
      error: isOlder(version, oldest) ? `${path} is claude ${version}; at least ${oldest} is needed.` : null,
    }
  } catch (error) {
    return {
      path,
      version: null,
      error: `${path} cannot be started: ${error instanceof Error ? error.message : error}`,
    }
  }
}

/** A program that did not tell its version is asked again, but not each time that somebody looks. */
const askAgainMs = 10_000

/** What `find` finds now, with its version, which each program is asked for once. */
export const createClaudeProgram = (find: () => ReturnType<typeof findClaude>): (() => Promise<ClaudeProgram>) => {
  let asked: { path: string; at: number; program: Promise<ClaudeProgram> } | undefined
  return async () => {
    const found = find()
    if ('error' in found) return { path: null, version: null, error: found.error }
    const { path } = found
    const failed = asked?.path === path && (await asked.program).error !== null
    if (asked?.path !== path || (failed && performance.now() - asked.at > askAgainMs))
      asked = { path, at: performance.now(), program: askVersion(path) }
    return asked.program
  }
}
