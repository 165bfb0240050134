import { chmod, chown, mkdir, mkdtemp, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { IsolationLevel } from '@aicm/protocol'
import { systemPath } from '../lib/system-path.ts'
import type { Owner } from '../process/owner.ts'
import { run } from '../process/run.ts'
import { writeAccounts } from './accounts.ts'
import { confine } from './confine.ts'
import { isWeaker, levels } from './level.ts'

export type ProbeOptions = {
  /** The server's own folder, which no session may see. */
  dataDir: string
  /** Nothing stronger is tried. */
  wanted: IsolationLevel
  /** A user of the system to run as; what belongs to the one before it must be out of reach. Undefined: none is wanted. */
  owner: Owner | undefined
  /** What sessions will run: it must be within reach. */
  program: string
}

/** What is proven, and for what is not, what was said when it was tried. */
export type Proven = {
  level: IsolationLevel
  asOwner: boolean
  errors: { level: { level: IsolationLevel; error: string }[]; owner: string | undefined }
}

const openFiles = 61
const unlimited = { memory: null, cpus: null, pids: null, processes: null, fileSize: null, core: null }

/** Run inside: says what it finds, one fact a line. A test's answer is its exit code, 0 for yes. */
const look = `
say() { echo "$1=$2"; }
test -e "$1"; say secret $?
test -r "$2"; say neighbour $?
test -x "$3"; say program $?
kill -0 "$4" 2>/dev/null; say signal $?
(echo x >written) 2>/dev/null; say write $?
unshare --user true 2>/dev/null; say namespace $?
say network "$(readlink /proc/self/ns/net)"
say processes "$(ls -d /proc/[0-9]* | wc -l)"
say files "$(ulimit -n)"
for fd in /proc/self/fd/*; do case "\${fd##*/}" in 0|1|2) ;; *) case "$(readlink "$fd")" in ''|/dev/null) ;; *) say descriptor "$fd";; esac;; esac; done
true
`

type Facts = Record<string, string>

const yes = '0'

/** The promise of a level that was not kept; undefined when all were. Each level has those of the weaker ones too. */
export const brokenPromise = (
  level: IsolationLevel,
  facts: Facts,
  { asOwner, network }: { asOwner: boolean; network: string },
): string | undefined => {
  const broken: [boolean, string][] = [
    [facts['write'] !== yes, 'its own workspace cannot be reached or written: permission denied'],
    [facts['program'] !== yes, 'the claude program cannot be reached: permission denied'],
    [facts['files'] !== String(openFiles), 'a limit that was set does not hold'],
    [asOwner && facts['neighbour'] === yes, "another user's file can be read"],
    [asOwner && facts['signal'] === yes, 'the server can be signalled'],
  ]
  if (!isWeaker(level, 'sandbox'))
    broken.push(
      [facts['secret'] === yes, "a file of the server's can be seen"],
      [facts['signal'] === yes, 'the server can be signalled'],
      [!(Number(facts['processes']) < 10), 'the processes of the host can be seen'],
    )
  if (!isWeaker(level, 'sealed'))
    broken.push(
      [facts['network'] === network, 'it is in the network of the host'],
      [facts['namespace'] === yes, 'it can make further namespaces'],
      [facts['descriptor'] !== undefined, `it has inherited ${facts['descriptor']}`],
    )
  return broken.find(([isBroken]) => isBroken)?.[1]
}

const factsOf = (output: string): Facts =>
  Object.fromEntries(
    output.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )

const wordsOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if ('code' in error && error.code === 'ENOENT')
    return `${/spawn (\S+)/.exec(error.message)?.[1] ?? error.message} is not installed`
  return error.message
}

/**
 * Finds the strongest walls that stand here, by building them and looking from inside: a level that does not keep each of its
 * promises is not reported. Leaves nothing behind.
 */
export const probe = async (options: ProbeOptions): Promise<Proven> => {
  const base = await mkdtemp(join(options.dataDir, 'probe-'))
  const network = await readlink('/proc/self/ns/net').catch(() => '')
  const [secret, neighbour] = [join(base, 'secret'), join(base, 'neighbour')]
  const [socketDir, accountsDir] = [join(base, 'socket'), join(base, 'accounts')]
  let attempts = 0

  /** New folders each time: what one attempt has made could be in the way of the next. */
  const makeFolders = async (owner: Owner | undefined) => {
    const own = join(base, String(attempts++))
    if (owner !== undefined) await chown(neighbour, owner.uid - 1, owner.gid - 1)
    const folders = { workspace: join(own, 'workspace'), home: join(own, 'home'), tmp: join(own, 'tmp') }
    for (const path of [own, ...Object.values(folders)]) {
      await mkdir(path, { mode: 0o700 })
      if (owner !== undefined) await chown(path, owner.uid, owner.gid)
    }
    return folders
  }

  /** Why these walls do not stand; undefined when they do. */
  const attempt = async (level: IsolationLevel, owner: Owner | undefined): Promise<string | undefined> => {
    try {
      const {
        exitStatus: _,
        argv,
        ...confined
      } = confine({
        walls: { level, owner, limits: { ...unlimited, files: openFiles } },
        view: { ...(await makeFolders(owner)), socketDir, accountsDir, program: options.program, readOnly: [] },
        exact: false,
        command: ['sh', '-c', look, 'sh', secret, neighbour, options.program, String(process.pid)],
      })
      const { code, stdout, stderr } = await run(argv, { ...confined, env: { PATH: systemPath }, timeoutMs: 10_000 })
      if (code !== 0) return stderr.trim().slice(0, 300) || `it ended with ${code}`
      return brokenPromise(level, factsOf(stdout), { asOwner: owner !== undefined, network })
    } catch (error) {
      return wordsOf(error)
    }
  }

  try {
    if (options.owner !== undefined) await chmod(base, 0o711)
    await mkdir(socketDir)
    await chmod(socketDir, 0o755)
    await writeAccounts(accountsDir)
    await writeFile(secret, 'not for sessions', { mode: 0o600 })
    await writeFile(neighbour, 'not for others', { mode: 0o600 })

    const errors: Proven['errors'] = { level: [], owner: undefined }
    for (const level of levels.toReversed()) {
      if (isWeaker(options.wanted, level) || level === 'none') continue
      if (options.owner !== undefined) {
        errors.owner = await attempt(level, options.owner)
        if (errors.owner === undefined) return { level, asOwner: true, errors }
      }
      const error = await attempt(level, undefined)
      if (error === undefined) return { level, asOwner: false, errors }
      errors.level.push({ level, error })
    }
    return { level: 'none', asOwner: false, errors }
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}
