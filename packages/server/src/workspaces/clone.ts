import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Egress, NoWay } from '../egress/egress.ts'
import { openEgressProxy } from '../egress/proxy.ts'
import { confine, placesInside } from '../isolation/confine.ts'
import type { SessionWalls } from '../isolation/isolation.ts'
import { AppError } from '../lib/app-error.ts'
import { killGroup, removeGroup } from '../process/group.ts'
import { systemPath } from '../lib/system-path.ts'
import { unreachable } from '../lib/unreachable.ts'
import { behindProxy } from '../process/behind-proxy.ts'
import { removeTree } from '../process/remove-tree.ts'
import { run } from '../process/run.ts'
import { killMarked } from '../process/tree.ts'
import { authoritiesWithExtra } from './authorities.ts'

/** Nothing local, nothing that starts a program (`ext::`), and no host that could be taken for a flag. */
const url = /^https?:\/\/(?:[^\s@/-][^\s@/]*@)?[^\s@/-][^\s@/]*(?:\/\S*)?$/
const otherScheme = /^(?:(?:ssh|git|git\+ssh):\/\/|[\w.-]+@[\w.-]+:)/

export const checkGitUrl = (gitUrl: string): void => {
  if (otherScheme.test(gitUrl))
    throw new AppError('invalid_request', 'gitUrl must be a http or https URL: there is no clone by ssh or git://.', {
      hint: 'Use the https address of the repository.',
    })
  if (!url.test(gitUrl) || /[\p{Cc}]/u.test(gitUrl))
    throw new AppError('invalid_request', 'gitUrl must be a http or https URL.')
  if (/^https?:\/\/[^/]*:[^/]*@/.test(gitUrl))
    throw new AppError('invalid_request', 'gitUrl must not hold a password: it would be stored and shown.')
}

const words = (reason: NoWay, host: string, port: number): string => {
  switch (reason) {
    case 'address_refused':
      return `${host} is at no address that clones may come from: public ones, except for this server's own. The operator can allow it: --clone-from ${host}`
    case 'host_not_found':
      return `${host} has no address.`
    case 'host_unreachable':
      return `${host} took no connection at port ${port}.`
    default:
      return unreachable(reason)
  }
}

const authoritiesFile = 'authorities.pem'

const marker = (id: string): string => `AICM_CLONE=${id}`

/** Ends what is left of a clone that a server has started which is no more. */
export const endClone = (id: string): Promise<void> => killMarked(marker(id))

/**
 * Clones into an existing, empty folder, inside the walls of the user's sessions; the only way out is a proxy that looks at each
 * address. Resolves with undefined, or with why it failed; when that is `signal`, with its reason. Nothing of the repository
 * is run: no hooks, no submodules, no local protocols, no prompts, no configuration of the machine's.
 */
export const cloneRepository = async (options: {
  id: string
  userId: string
  url: string
  branch: string | undefined
  into: string
  /** A folder of its own, made and removed here. */
  scratch: string
  walls: SessionWalls
  egress: Egress
  signal: AbortSignal
}): Promise<string | undefined> => {
  const { id, into, scratch, signal } = options
  const [home, tmp, socketDir] = [join(scratch, 'home'), join(scratch, 'tmp'), join(scratch, 'socket')]
  try {
    const walls = await options.walls.of(options.userId)
    for (const path of [home, tmp, socketDir]) await mkdir(path, { recursive: true, mode: 0o700 })
    await using proxy = await openEgressProxy({ dir: socketDir, egress: options.egress })
    const authorities = authoritiesWithExtra()
    // The one folder of its own that git cannot write to, where there are walls.
    if (authorities !== undefined) await writeFile(join(socketDir, authoritiesFile), authorities)
    for (const path of [scratch, into]) await options.walls.give(path, walls.owner)
    const { accountsDir, readOnly } = options.walls
    const git = [
      'git',
      ...['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', '-c', 'core.symlinks=true'],
      ...['clone', '--no-recurse-submodules', '--quiet'],
      ...(options.branch === undefined ? [] : [`--branch=${options.branch}`]),
      ...['--', options.url, '.'],
    ]
    const inside = placesInside(walls.level, { tmp, socketDir })
    // A server that never stops sending must not have all memory.
    const group = options.walls.makeGroup(`clone-${id}`, walls.limits)
    await using ended = new AsyncDisposableStack()
    if (group !== undefined)
      ended.defer(async () => {
        await killGroup(group)
        await removeGroup(group)
      })
    const { exitStatus: _, ...confined } = confine({
      walls,
      view: { workspace: into, home, tmp, socketDir, program: process.execPath, accountsDir, readOnly },
      exact: false,
      command: behindProxy,
    })
    // A sandbox outlives the process that `run` ends.
    const stop = (): void => void endClone(id).catch(() => undefined)
    signal.addEventListener('abort', stop, { once: true })
    signal.throwIfAborted()
    const result = await run([...confined.argv, inside.socket, ...git], {
      ...confined,
      ...(group && { group }),
      signal,
      env: {
        PATH: systemPath,
        HOME: home,
        TMPDIR: inside.tmp,
        LANG: 'C.UTF-8',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_TERMINAL_PROMPT: '0',
        GIT_ASKPASS: 'false',
        GIT_ALLOW_PROTOCOL: 'http:https',
        AICM_CLONE: id,
        ...(authorities !== undefined && { GIT_SSL_CAINFO: join(dirname(inside.socket), authoritiesFile) }),
      },
    })
    signal.removeEventListener('abort', stop)
    if (result.code === 0) return undefined
    signal.throwIfAborted()
    const failure = proxy.failure()
    return failure === undefined
      ? `git clone failed: ${result.stderr.trim().slice(0, 1000)}`
      : `${failure.reason}: ${words(failure.reason, failure.host, failure.port)}`
  } catch (error) {
    if (signal.aborted) return String(signal.reason)
    if (error instanceof AppError) return `${error.code}: ${error.message} ${error.hint}`
    return `git clone failed: ${error instanceof Error ? error.message : String(error)}`
  } finally {
    await endClone(id)
    await removeTree(scratch)
  }
}
