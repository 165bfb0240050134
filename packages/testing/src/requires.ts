import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'vitest'
import { foldersOf } from '../../server/src/process/group.ts'
import { currentGroup } from '../../server/src/isolation/own-group.ts'

const succeeds = (command: string, ...args: string[]) =>
  spawnSync(command, args, { stdio: 'ignore', timeout: 20_000 }).status === 0

const chromiumPlaces = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** A browser of this machine for playwright-core: `AICM_CHROMIUM`, else the usual places. */
export const chromiumPath = (): string | undefined =>
  [process.env.AICM_CHROMIUM, ...chromiumPlaces].find((path) => path !== undefined && existsSync(path))

/** The real CLI that npm installed for this machine. */
export const claudePath = (): string | undefined => {
  try {
    const name = `@anthropic-ai/claude-code-${process.platform}-${process.arch}`
    return createRequire(import.meta.url).resolve(`${name}/claude`)
  } catch {
    return undefined
  }
}

/** The Python that Debian's packages are for: another may come first on PATH. */
export const debianPython = '/usr/bin/python3'

/** Whether control groups can be made where we are, with limits for memory, CPUs and processes. */
const makesGroups = (): boolean => {
  const own = currentGroup()
  if (own === undefined || (['memory', 'cpu', 'pids'] as const).some((name) => own.folders[name] === undefined))
    return false
  try {
    for (const folder of foldersOf(own)) {
      const probe = join(folder, `aicm-probe-${process.pid}`)
      mkdirSync(probe)
      rmdirSync(probe)
    }
    const given = own.version === 2 ? readFileSync(join(foldersOf(own)[0] ?? '', 'cgroup.subtree_control'), 'utf8') : ''
    return own.version === 1 || given.includes('memory')
  } catch {
    return false
  }
}

/** What a test may need of the machine, and how to find out: by doing, since a program that is there may still be refused. */
const probes = {
  bwrap: () => succeeds('bwrap', '--unshare-user', '--unshare-pid', '--ro-bind', '/', '/', 'true'),
  cgroup: makesGroups,
  // Of its own, beside whatever is mounted.
  cgroup2: () => succeeds('unshare', '--mount', 'mount', '-t', 'cgroup2', 'none', '/mnt'),
  chromium: () => chromiumPath() !== undefined,
  claude: () => claudePath() !== undefined,
  curl: () => succeeds('curl', '--version'),
  git: () => succeeds('git', '--version'),
  linux: () => process.platform === 'linux',
  'net-namespace': () => succeeds('unshare', '--net', 'true'),
  openssl: () => succeeds('openssl', 'version'),
  prlimit: () => succeeds('prlimit', '--version'),
  'python3-jwt': () => succeeds(debianPython, '-c', 'import jwt'),
  'python3-websockets': () => succeeds(debianPython, '-c', 'import websockets'),
  ps: () => succeeds('ps', '-o', 'pid'),
  root: () => process.getuid?.() === 0,
  tmux: () => succeeds('tmux', '-V'),
} satisfies Record<string, () => boolean>

export type Part = keyof typeof probes

/** Which of the parts are not there. Besides the probes, `AICM_MISSING` (names with commas between) declares parts missing. */
export const missingParts = (parts: readonly Part[]): Part[] => {
  const declared = new Set((process.env.AICM_MISSING ?? '').split(','))
  return parts.filter((part) => declared.has(part) || !probes[part]())
}

type DefineTest = (name: string, body: () => void | Promise<void>, timeout?: number) => void

/**
 * The `test` function for tests that need parts of the machine: `requires('bwrap')('a child cannot …', async () => …)`.
 * Where a part is missing the test is skipped and its name says why; with `AICM_FORBID_SKIPS=1` that is an error instead.
 */
export const requires = (...parts: [Part, ...Part[]]): DefineTest => {
  const missing = missingParts(parts)
  if (missing.length === 0) return (name, body, timeout) => test(name, body, timeout)
  const reason = `needs ${missing.join(', ')}`
  if (process.env.AICM_FORBID_SKIPS === '1') {
    throw new Error(`skipping is forbidden here (AICM_FORBID_SKIPS=1), and this file ${reason}`)
  }
  return (name) => test.skip(`${name} (${reason})`, () => {})
}
