import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Isolation, ResourceLimits } from '@aicm/protocol'
import type { IsolationSettings } from '../config/config.ts'
import { AppError } from '../lib/app-error.ts'
import { groupWithin, makeGroup, type Group } from '../process/group.ts'
import type { Owner } from '../process/owner.ts'
import type { ConfinementStore } from '../storage/confinement-store.ts'
import { writeAccounts } from './accounts.ts'
import { adviceForLevel, adviceForLimit, adviceForUid } from './advice.ts'
import type { Walls } from './confine.ts'
import { readHostFacts, type HostFacts } from './host-facts.ts'
import { isWeaker } from './level.ts'
import { createOwners, giveFolder, openWays } from './owners.ts'
import { probe, type Proven } from './probe.ts'
import { probeGroups, removeParent, type ProvenGroups } from './probe-groups.ts'

/** The walls of this server's sessions. */
export type SessionWalls = {
  /** Of a user's processes. Rejects with isolation_unavailable where they would have none. */
  of(userId: string): Promise<Walls>
  /** Gives a user's folder, below the data folder, to whom their processes run as. */
  give(path: string, owner: Owner | undefined): Promise<void>
  /** Makes a group for one process, named so; undefined where none works. */
  makeGroup(name: string, limits: ResourceLimits): Group | undefined
  /** Groups that an earlier server has left, by name: some may still be in use. */
  staleGroups(): Promise<{ name: string; group: Group }[]>
  accountsDir: string
  /** Folders that every session may read. */
  readOnly: readonly string[]
}

const missingOf = (
  { level, asOwner, errors }: Proven,
  { wanted, uidRange }: IsolationSettings,
  host: HostFacts,
  dataDir: string,
): Isolation['missing'] => [
  ...errors.level.map(({ level: part, error }) => ({ part, error, fix: adviceForLevel(error, host) })),
  ...(asOwner || wanted === 'none' || level === 'none'
    ? []
    : [uidMissing(uidRange === undefined ? undefined : errors.owner, host, dataDir)]),
]

const limitNames = { memory: 'a memory limit', cpu: 'a CPU limit', pids: 'a limit of processes' }

/** What is missing for the same reason is told once, whichever folder it was said of. */
const limitsMissing = ({ errors }: ProvenGroups, host: HostFacts): Isolation['missing'] =>
  [...Map.groupBy(errors, ({ error }) => error.split(',')[0])].map(([, [first, ...more]]) => {
    const names = [first, ...more].flatMap((one) => (one === undefined ? [] : [limitNames[one.limit]]))
    const error = first?.error ?? ''
    return { part: `${names.join(', ')} for each session`, error, fix: adviceForLimit(error, host) }
  })

const uidMissing = (error: string | undefined, host: HostFacts, dataDir: string): Isolation['missing'][number] => {
  const part = 'a uid for each user'
  if (host.uid !== 0) {
    const said = `the server runs as the uid ${host.uid}, not as root`
    return { part, error: said, fix: adviceForUid(said, host, dataDir) }
  }
  return error === undefined
    ? {
        part,
        error: 'it is off: by default it is where there is a --workspace-root, whose folders are not the users’ own',
        fix: 'Set --uid-range FIRST-LAST, and give each user’s uid access to what it shall use there (docs/isolation.md).',
      }
    : { part, error, fix: adviceForUid(error, host, dataDir) }
}

/** What is missing, for people: what, why, and what to do. */
export const missingText = ({ part, error, fix }: Isolation['missing'][number]): string =>
  `${part}: ${error.replaceAll(/\s+/g, ' ').replace(/[.\s]*$/, '')}. ${fix}`

/** Throws where less works than the operator demands. */
export const assertRequired = (isolation: Isolation, required: IsolationSettings['required']): void => {
  if (required === undefined || !isWeaker(isolation.level, required)) return
  throw new AppError(
    'isolation_unavailable',
    [`Isolation "${required}" is required, and only "${isolation.level}" works here.`]
      .concat(isolation.missing.map(missingText))
      .join('\n  '),
    { hint: '' },
  )
}

export const createSessionWalls = (options: {
  dataDir: string
  settings: IsolationSettings
  limitsOf(userId: string): Promise<ResourceLimits>
  store: ConfinementStore
  countUsers(): Promise<number>
  /** What sessions run, or something that is always there. */
  program(): string
}): SessionWalls & {
  /** What works here, found out when it is first asked for. */
  state(): Promise<Isolation>
  /** Removes what was made for the processes of sessions, as far as none of them goes on. */
  close(): void
} => {
  const { dataDir, settings } = options
  const { wanted, uidRange } = settings
  const accountsDir = join(dataDir, 'accounts')
  const isRoot = process.getuid?.() === 0
  // The last two are nobody's: they serve to find out.
  const owners =
    uidRange === undefined
      ? undefined
      : createOwners({ dataDir, store: options.store, range: { ...uidRange, last: uidRange.last - 2 } })

  let groups: ProvenGroups | undefined

  const find = async (): Promise<Isolation> => {
    const host = readHostFacts()
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await writeAccounts(accountsDir)
    const usesUids = uidRange !== undefined && isRoot
    if (usesUids) await openWays(dataDir)
    const owner = usesUids ? { uid: uidRange.last, gid: uidRange.last } : undefined
    const proven = await probe({ dataDir, wanted, program: options.program(), owner })
    groups = await probeGroups({ dataDir, owner: proven.asOwner ? owner : undefined })
    const { parent, kills } = groups
    const isWalled = !isWeaker(proven.level, 'sandbox')
    return {
      ...{ level: proven.level, wanted, uidPerUser: proven.asOwner },
      limits: parent !== undefined ? `cgroup${parent.version}` : proven.level === 'none' ? 'none' : 'rlimit',
      kill: kills ? 'cgroup' : isWalled ? 'pidns' : 'group',
      credentials: 'broker',
      missing: [...missingOf(proven, settings, host, dataDir), ...limitsMissing(groups, host)],
    }
  }
  let found: Promise<Isolation> | undefined
  /** What went wrong in finding out is tried again by whoever asks next. */
  const state = (): Promise<Isolation> =>
    (found ??= find().catch((error: unknown) => {
      found = undefined
      throw error
    }))

  return {
    accountsDir,
    readOnly: settings.readOnlyMounts,
    state,
    of: async (userId) => {
      const { level, uidPerUser } = await state()
      if (level === 'none') await assertNoneAllowed(settings, options.countUsers)
      const owner = uidPerUser ? await owners?.of(userId) : undefined
      return { level, owner, limits: await options.limitsOf(userId) }
    },
    makeGroup: (name, limits) => groups?.parent && makeGroup(groupWithin(groups.parent, name), limits),
    staleGroups: async () => {
      await state()
      const { parent, stale = [] } = groups ?? {}
      return parent === undefined ? [] : stale.map((name) => ({ name, group: groupWithin(parent, name) }))
    },
    close: () => {
      if (groups?.parent !== undefined) removeParent(groups.parent)
    },
    give: async (path, owner) => {
      if (isRoot) await giveFolder(dataDir, path, owner ?? { uid: 0, gid: 0 })
    },
  }
}

/** It is never what somebody falls back to, and not for people who do not trust each other, unless they say so. */
const assertNoneAllowed = async (
  { wanted, required }: IsolationSettings,
  countUsers: () => Promise<number>,
): Promise<void> => {
  if (wanted !== 'none')
    throw new AppError('isolation_unavailable', 'No isolation works on this server, not even limits.', {
      hint: 'Have the operator look at `aicm health`; --isolation none runs sessions without any.',
    })
  if (required !== 'none' && (await countUsers()) > 1)
    throw new AppError('isolation_unavailable', 'Without isolation each user could read all others’ files.', {
      hint: 'Have the operator set a level with --isolation, or say with --require-isolation none that this is intended.',
    })
}
