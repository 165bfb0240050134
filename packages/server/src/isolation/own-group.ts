import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { controllers, type Controller, type Group } from '../process/group.ts'

/** Where the server goes to, in version 2: a group that has groups in it can have no processes of its own. */
export const serverGroupName = 'aicm-server'

/** In mountinfo a space is `\040`. */
const unescape = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

type Mount = { root: string; path: string; version: 1 | 2; options: string[] }

const mountsIn = (mountinfo: string): Mount[] =>
  mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ', 2)
    const [, , , root = '', path = ''] = left.split(' ').map(unescape)
    const [type, , options = ''] = right.split(' ')
    if (type !== 'cgroup' && type !== 'cgroup2') return []
    return [{ root, path, version: type === 'cgroup2' ? (2 as const) : (1 as const), options: options.split(',') }]
  })

/** Of a group's path in its hierarchy, as far as the mount shows it: in a container it may show a part only. */
const folderOf = (path: string, { root, path: mount }: Mount): string | undefined => {
  if (path.startsWith('/..')) return undefined
  if (path === '/') return mount
  if (root === '/') return join(mount, path)
  return path === root || path.startsWith(`${root}/`) ? join(mount, path.slice(root.length)) : undefined
}

/**
 * The group that a process is in, from its /proc/PID/cgroup and mountinfo; undefined where control groups are not mounted.
 * Source: cgroups(7), proc(5).
 */
export const ownGroup = (texts: { cgroup: string; mountinfo: string }): Group | undefined => {
  const mounts = mountsIn(texts.mountinfo)
  const paths = new Map<string, string>()
  for (const line of texts.cgroup.split('\n')) {
    const [, names, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (names !== undefined && path !== undefined) for (const name of names.split(',')) paths.set(name, path)
  }
  const unified = mounts.find(({ version }) => version === 2)
  const unifiedPath = paths.get('')
  const whole = unified && unifiedPath !== undefined ? folderOf(unifiedPath, unified) : undefined

  const folders: Partial<Record<Controller, string>> = {}
  for (const controller of controllers) {
    const mount = mounts.find(({ version, options }) => version === 1 && options.includes(controller))
    const path = paths.get(controller)
    const folder = mount && path !== undefined ? folderOf(path, mount) : undefined
    if (folder !== undefined) folders[controller] = folder
  }
  if (Object.keys(folders).length > 0)
    // To enter one of version 2 costs more than all of version 1: see entranceOf.
    return { version: 1, folders: { ...folders, ...(whole === undefined || folders.pids ? {} : { kill: whole }) } }
  if (whole === undefined) return undefined
  const base = basename(whole) === serverGroupName ? dirname(whole) : whole
  return { version: 2, folders: Object.fromEntries(controllers.map((controller) => [controller, base])) }
}

/** The same of this process. */
export const currentGroup = (proc = '/proc/self'): Group | undefined => {
  const file = (name: string): string => readFileSync(join(proc, name), 'utf8')
  try {
    return ownGroup({ cgroup: file('cgroup'), mountinfo: file('mountinfo') })
  } catch {
    // Not Linux, or a kernel without them.
    return undefined
  }
}
