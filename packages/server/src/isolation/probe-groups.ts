import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemPath } from '../lib/system-path.ts'
import {
  foldersOf,
  groupUsage,
  groupWithin,
  killGroup,
  makeGroup,
  removeGroup,
  setGroupWeight,
  type Controller,
  type Group,
} from '../process/group.ts'
import { ancestorsOf, descendantsOf } from '../process/identity.ts'
import type { Owner } from '../process/owner.ts'
import { run } from '../process/run.ts'
import { currentGroup, serverGroupName } from './own-group.ts'

/** What was proven of control groups, and for what was not, what was said when it was tried. */
export type ProvenGroups = {
  /** In which those of the sessions' processes are made; undefined where nothing can be limited. */
  parent: Group | undefined
  /** Whether all in one can be ended at once. */
  kills: boolean
  /** Names of groups in it that an earlier server has left. */
  stale: string[]
  errors: { limit: Limited; error: string }[]
}

export type Limited = 'memory' | 'cpu' | 'pids'
const limited: readonly Limited[] = ['memory', 'cpu', 'pids']
const isLimited = (controller: Controller): controller is Limited => limited.some((limit) => limit === controller)

const pollMs = 5
const timeoutMs = 10_000
/** Enough for what is tried. */
const someLimits = { memory: 64 * 2 ** 20, cpus: 1, pids: 64 }

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Of a server: one data folder has one server. */
const parentName = (dataDir: string): string =>
  `aicm-${createHash('sha256').update(realpathSync(dataDir)).digest('hex').slice(0, 12)}`

/** Where the groups of this data folder's sessions are, as far as it is there. Undefined without control groups. */
export const parentOf = (dataDir: string, proc?: string): Group | undefined => {
  const own = currentGroup(proc)
  return own && groupWithin(own, parentName(dataDir))
}

/** Not by Node's `recursive`, which says of a read-only file system that there is none. */
const makeFolder = (path: string): void => {
  try {
    mkdirSync(path)
  } catch (error) {
    if (!existsSync(path)) throw error
  }
}

const membersIn = (folder: string): number[] =>
  readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)

/** In version 2 groups have the controllers that the group around them gives them. */
const giveController = (folder: string, controller: Limited): void => {
  const known = readFileSync(join(folder, 'cgroup.controllers'), 'utf8').trim().split(' ')
  if (!known.includes(controller)) throw new Error(`the controller "${controller}" is not delegated to ${folder}`)
  writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`)
}

/**
 * A group of version 2 that gives controllers to others has no processes of its own, except the outermost one: the server goes
 * into a group beside theirs. Not where others than its own are there: who put them there wants them there.
 */
const makeWay = async (folder: string): Promise<void> => {
  const isOutermost = !existsSync(join(folder, 'cgroup.events'))
  const members = membersIn(folder)
  if (isOutermost || members.length === 0) return
  const kin = new Set([process.pid, ...ancestorsOf(process.pid), ...(await descendantsOf(process.pid))])
  if (members.some((pid) => !kin.has(pid))) throw new Error(`${folder} holds processes of others beside the server`)
  const own = join(folder, serverGroupName)
  makeFolder(own)
  for (const pid of members) writeFileSync(join(own, 'cgroup.procs'), String(pid))
}

const withOnly = ({ version, folders }: Group, wanted: (controller: Controller) => boolean): Group => ({
  version,
  folders: Object.fromEntries(Object.entries(folders).filter(([name]) => wanted(name as Controller))),
})

/** Runs something in a group, sees it there, and ends it by its group. Throws what was said. */
const tryOut = async (group: Group, owner: Owner | undefined): Promise<void> => {
  makeGroup(group, someLimits)
  let ended = false
  const running = run(['sleep', String(timeoutMs / 1000)], { env: { PATH: systemPath }, owner, group, timeoutMs })
  const settled = running.then(
    () => (ended = true),
    () => (ended = true),
  )
  try {
    while (!ended && foldersOf(group).some((folder) => membersIn(folder).length === 0)) await delay(pollMs)
    groupUsage(group)
    await killGroup(group)
    const { signal, stderr } = await running
    if (signal !== 'SIGKILL') throw new Error(stderr.trim().slice(0, 300) || 'it cannot be ended')
  } finally {
    await settled
    await removeGroup(group)
  }
}

/** A server that everybody waits for goes before what each session computes. Of nice(1) it would be 5. */
const parentWeight = 1 / 3

/** One that a server leaves behind when it dies meanwhile must not be in the way of the next. */
const probeName = `probe-${process.pid}`

/**
 * Finds out which limits can be set here, each by itself, by setting them on a process. What it leaves behind is the parent
 * group. `proc` is another /proc/self than this process's own, for tests.
 */
export const probeGroups = async ({
  dataDir,
  owner,
  proc,
}: {
  dataDir: string
  /** As whom sessions run. */
  owner: Owner | undefined
  proc?: string
}): Promise<ProvenGroups> => {
  const errors: ProvenGroups['errors'] = []
  const nothing = (error: string): ProvenGroups => ({
    ...{ parent: undefined, kills: false, stale: [] },
    errors: [
      { limit: 'memory', error },
      { limit: 'cpu', error },
      { limit: 'pids', error },
    ],
  })
  try {
    const all = parentOf(dataDir, proc)
    if (all === undefined) return nothing('control groups are not mounted')
    const base = all.version === 2 && all.folders.memory !== undefined ? dirname(all.folders.memory) : undefined
    if (base !== undefined) await makeWay(base)

    for (const limit of limited)
      if (all.folders[limit] === undefined) errors.push({ limit, error: 'its controller is not mounted' })

    const works = (controller: Controller): boolean => {
      const one = withOnly(all, (name) => name === controller)
      const folder = all.folders[controller] ?? ''
      try {
        if (base !== undefined && isLimited(controller)) giveController(base, controller)
        makeFolder(folder)
        if (base !== undefined && isLimited(controller)) giveController(folder, controller)
        const probe = join(folder, probeName)
        makeGroup(groupWithin(one, probeName), someLimits)
        const canKill = controller !== 'kill' || existsSync(join(probe, 'cgroup.kill'))
        rmdirSync(probe)
        if (!canKill) removeParent(one)
        return canKill
      } catch (error) {
        removeParent(one)
        if (isLimited(controller)) errors.push({ limit: controller, error: textOf(error) })
        return false
      }
    }
    const parent = withOnly(all, works)
    if (!limited.some((controller) => parent.folders[controller] !== undefined)) {
      removeParent(all)
      return { ...nothing(''), errors }
    }
    const stale = new Set(
      foldersOf(parent).flatMap((folder) =>
        readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])),
      ),
    )
    try {
      await tryOut(groupWithin(parent, probeName), owner)
    } catch (error) {
      removeParent(all)
      return nothing(textOf(error))
    }
    setGroupWeight(parent, parentWeight)
    const kills = parent.folders.kill !== undefined || parent.folders.pids !== undefined
    return { parent, kills, stale: [...stale], errors }
  } catch (error) {
    return nothing(textOf(error))
  }
}

/** Where nothing is in it any more. */
export const removeParent = (parent: Group): void => {
  for (const folder of foldersOf(parent)) {
    try {
      rmdirSync(folder)
    } catch {
      // Sessions go on in it.
    }
  }
}
