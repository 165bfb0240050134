import { chmod, lchown, lstat, readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { systemPath } from '../lib/system-path.ts'
import type { Owner } from '../process/owner.ts'
import { run } from '../process/run.ts'
import type { ConfinementStore } from '../storage/confinement-store.ts'

export type UidRange = { first: number; last: number }

/** Which user of the operating system is whose, on a server that is root. */
export type Owners = {
  of(userId: string): Promise<Owner>
}

const chownTimeoutMs = 10 * 60_000
/** Below the data folder; whatever else is there is the server's alone. */
const ways = ['accounts', 'broker', 'sessions', 'users', 'workspaces']
/** Others may pass through, and see nothing. */
const passable = 0o711

const numericOwner = (path: string): Promise<number> => lstat(path).then(({ uid }) => uid)

/** The uids that own what is there already: after the loss of a database nobody gets what was another's. */
const uidsInUse = async (dataDir: string, { first, last }: UidRange): Promise<number[]> => {
  const users = join(dataDir, 'users')
  const found = await Promise.all(
    (await readdir(users).catch(() => [])).map((userId) => numericOwner(join(users, userId, 'home')).catch(() => -1)),
  )
  return found.filter((uid) => uid >= first && uid <= last)
}

export const createOwners = (options: { dataDir: string; range: UidRange; store: ConfinementStore }): Owners => {
  const { dataDir, range, store } = options
  const known = new Map<string, Promise<Owner>>()

  const find = async (userId: string): Promise<Owner> => {
    const asOwner = (uid: number): Owner => ({ uid, gid: uid })
    const stored = await store.getUid(userId)
    if (stored !== undefined) return asOwner(stored)
    const home = await numericOwner(join(dataDir, 'users', userId, 'home')).catch(() => -1)
    const inUse = await uidsInUse(dataDir, range)
    const first = inUse.includes(home) ? home : Math.max(range.first - 1, ...inUse) + 1
    return asOwner(await store.giveUid(userId, { ...range, first }))
  }

  return {
    of: (userId) => {
      const owner = known.get(userId) ?? find(userId)
      known.set(userId, owner)
      owner.catch(() => known.delete(userId))
      return owner
    },
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** Closes the data folder to all but the server's user, except for the ways through it. What they lead to is somebody's alone. */
export const openWays = async (dataDir: string): Promise<void> => {
  for (const name of await readdir(dataDir)) {
    try {
      const path = join(dataDir, name)
      const { mode } = await lstat(path)
      if (ways.includes(name)) await chmod(path, name === 'accounts' ? 0o755 : passable)
      else if ((mode & 0o077) !== 0) await chmod(path, mode & 0o700)
    } catch (error) {
      // The server is at work meanwhile: a file of its own that it has replaced or removed needs no closing.
      if (!isMissing(error)) throw error
    }
  }
  await chmod(dataDir, passable)
}

/**
 * Gives a folder below the data folder, with all that is in it, to `owner`, and lets them through to it. Only while nothing of
 * the folder's user runs: it could put links in the way. Does nothing where it is theirs already, or is not there.
 */
export const giveFolder = async (dataDir: string, path: string, owner: Owner): Promise<void> => {
  const current = await numericOwner(path).catch(() => undefined)
  if (current === undefined || current === owner.uid) return
  const names = relative(dataDir, path).split(sep)
  for (let length = 1; length < names.length; length++) {
    const way = join(dataDir, ...names.slice(0, length))
    if (((await lstat(way)).mode & 0o777) !== passable) await chmod(way, passable)
  }
  // Most are new: a program for that would cost more than all else of the start.
  if ((await readdir(path)).length === 0) return lchown(path, owner.uid, owner.gid)
  // The folder itself comes last: what a crash leaves half done is done again.
  const given = await run(['chown', '-R', '-h', '-P', '--', `${owner.uid}:${owner.gid}`, path], {
    env: { PATH: systemPath },
    timeoutMs: chownTimeoutMs,
  })
  if (given.code !== 0)
    throw new Error(`${path} could not be given to the uid ${owner.uid}: ${given.stderr.slice(0, 300)}`)
}
