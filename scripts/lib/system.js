import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from './run.js'

/** Where Debian puts what programs in Python import. */
const pythonModules = '/usr/lib/python3/dist-packages'

/**
 * What the tests use of the machine: a command to look for (or a file, where it brings none), and the Debian package that
 * brings it. The names on the left are those that `requires` of packages/testing knows.
 * @type {Record<string, { command: string, debian: string } | { file: string, debian: string }>}
 */
const parts = {
  bwrap: { command: 'bwrap', debian: 'bubblewrap' },
  chromium: { command: 'chromium', debian: 'chromium' },
  curl: { command: 'curl', debian: 'curl' },
  git: { command: 'git', debian: 'git' },
  'net-namespace': { command: 'unshare', debian: 'util-linux' },
  openssl: { command: 'openssl', debian: 'openssl' },
  prlimit: { command: 'prlimit', debian: 'util-linux' },
  'python3-jwt': { file: `${pythonModules}/jwt`, debian: 'python3-jwt' },
  'python3-websockets': { file: `${pythonModules}/websockets`, debian: 'python3-websockets' },
  ps: { command: 'ps', debian: 'procps' },
  tmux: { command: 'tmux', debian: 'tmux' },
}

/** @param {string} command */
const isThere = (command) =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) =>
    existsSync(join(folder, command)),
  )

const missing = () =>
  Object.entries(parts).filter(([, part]) => !('file' in part ? existsSync(part.file) : isThere(part.command)))

const isDebianRoot = () =>
  process.getuid?.() === 0 &&
  existsSync('/etc/os-release') &&
  /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8')) &&
  spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status === 0

/**
 * Installs the system parts that are missing where that is ours to do (Debian, root); names those that stay missing.
 * @returns {string[]} names of the parts that are not there
 */
export const ensureSystemParts = () => {
  const wanted = missing()
  if (wanted.length > 0 && isDebianRoot()) {
    const packages = [...new Set(wanted.map(([, { debian }]) => debian))]
    console.log(`Installing ${packages.join(', ')} (apt-get) …`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    run('apt-get', ['update', '-qq'], { env })
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env })
  }
  const left = missing()
  if (left.length > 0) {
    const names = left.map(([name, { debian }]) => `${name} (Debian: ${debian})`)
    console.log(`Missing on this machine: ${names.join(', ')}. The tests that need them are skipped, by name.`)
  }
  return left.map(([name]) => name)
}
