import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { groupFolders, removeGroups } from '@aicm/testing/groups'
import { requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { systemPath } from '../lib/system-path.ts'
import { foldersOf, groupWithin, makeGroup } from '../process/group.ts'
import { run } from '../process/run.ts'
import { probeGroups, removeParent, type ProvenGroups } from './probe-groups.ts'

requires('cgroup')('what works is proven, and only the parent group is left, with what was in it', async () => {
  await using dir = await tempDir()
  const { parent, errors, kills, stale } = await probeGroups({ dataDir: dir.path, owner: undefined })
  if (parent === undefined) throw new Error(JSON.stringify(errors))
  expect({ errors, kills, stale }).toEqual({ errors: [], kills: true, stale: [] })
  expect(groupFolders(dir.path)).toEqual(foldersOf(parent))
  makeGroup(groupWithin(parent, 'left.1'), { memory: null, cpus: null, pids: null })
  expect(await probeGroups({ dataDir: dir.path, owner: undefined })).toMatchObject({ parent, stale: ['left.1'] })
  removeParent(parent)
  expect(foldersOf(parent).every((folder) => existsSync(folder))).toBe(true)
  expect(removeGroups(dir.path)).toBe(true)
  expect(foldersOf(parent).some((folder) => existsSync(folder))).toBe(false)
})

requires('cgroup')('each data folder has groups of its own', async () => {
  await using first = await tempDir()
  await using second = await tempDir()
  const names = []
  for (const dataDir of [first.path, second.path]) {
    const { parent } = await probeGroups({ dataDir, owner: undefined })
    names.push(basename(parent?.folders.pids ?? ''))
    if (parent !== undefined) removeParent(parent)
  }
  expect(new Set(names).size).toBe(2)
})

requires('cgroup', 'root')('a child that gives up its uid first gets into its group all the same', async () => {
  await using dir = await tempDir()
  const { parent, errors } = await probeGroups({ dataDir: dir.path, owner: { uid: 1_900_000_101, gid: 1_900_000_101 } })
  expect(errors).toEqual([])
  if (parent !== undefined) removeParent(parent)
})

test('where there are none, each limit is missing, and why is told', async () => {
  await using dir = await tempDir()
  await writeFile(join(dir.path, 'cgroup'), '0::/\n')
  await writeFile(join(dir.path, 'mountinfo'), '22 1 8:1 / / rw - ext4 /dev/sda1 rw\n')
  const error = 'control groups are not mounted'
  expect(await probeGroups({ dataDir: dir.path, owner: undefined, proc: dir.path })).toEqual({
    ...{ parent: undefined, kills: false, stale: [] },
    errors: (['memory', 'cpu', 'pids'] as const).map((limit) => ({ limit, error })),
  })
})

test('what looks like a group and is none is not taken for one', async () => {
  await using dir = await tempDir()
  await mkdir(join(dir.path, 'group'))
  await writeFile(join(dir.path, 'group/cgroup.procs'), '')
  await writeFile(join(dir.path, 'cgroup'), '2:memory:/\n3:pids:/\n')
  const mount = (name: string): string => `31 23 0:28 / ${join(dir.path, 'group')} rw - cgroup cgroup rw,${name}\n`
  await writeFile(join(dir.path, 'mountinfo'), mount('memory') + mount('pids'))
  const { parent, errors } = await probeGroups({ dataDir: dir.path, owner: undefined, proc: dir.path })
  expect(parent).toBeUndefined()
  expect(errors.map(({ limit }) => limit).toSorted()).toEqual(['cpu', 'memory', 'pids'])
})

/** What a script says in a group of a real hierarchy of version 2, mounted for it alone; `beside` runs in that group first. */
const inVersion2 = async (script: string, beside = ''): Promise<Record<string, unknown>> => {
  await using dir = await tempDir()
  const [mount, proc] = [join(dir.path, 'mount'), join(dir.path, 'proc')]
  for (const path of [mount, proc]) await mkdir(path)
  const name = basename(dir.path)
  const source = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href)
  const program = `
    import { readFileSync, writeFileSync } from 'node:fs'
    import { currentGroup } from ${source('own-group.ts')}
    import { probeGroups } from ${source('probe-groups.ts')}
    import * as groups from ${source('../process/group.ts')}
    import { run } from ${source('../process/run.ts')}
    const inGroup = () => /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))[1]
    // As on a host that has version 2 alone.
    writeFileSync('${proc}/cgroup', '0::' + inGroup() + '\\n')
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\\n')
    writeFileSync('${proc}/mountinfo', mounts.find((line) => line.includes('${mount}')))
    const [dataDir, proc] = ['${dir.path}', '${proc}']
    ${script}`
  const around = `mount -t cgroup2 none "$1" && mkdir "$1/$2" && echo $$ >"$1/$2/cgroup.procs" || exit
    ${beside}
    mount=$1; group=$1/$2; shift 2; "$@"
    echo $$ >"$mount/cgroup.procs"; echo 1 >"$group/cgroup.kill"
    while [ -d "$group" ]; do rmdir "$group"/*/ "$group" 2>/dev/null; done`
  const node = [process.execPath, '--no-warnings', '--input-type=module', '--eval', program]
  const { stdout, stderr } = await run(['unshare', '--mount', 'sh', '-c', around, 'sh', mount, name, ...node], {
    ...{ env: { PATH: systemPath }, timeoutMs: 60_000 },
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout.replaceAll(name, 'GROUP')) as Record<string, unknown>
}

requires('cgroup2', 'root')(
  'in version 2 the server makes way for its sessions, and a limit that is not delegated is told',
  async () => {
    const found = await inVersion2(`
    const { parent, errors } = await probeGroups({ dataDir, owner: undefined, proc })
    console.log(JSON.stringify({ group: inGroup(), works: Object.keys(parent?.folders ?? {}), errors }))`)
    const { works, errors } = found as { works: string[]; errors: ProvenGroups['errors'] }
    expect(found['group']).toBe('/GROUP/aicm-server')
    for (const limit of ['memory', 'cpu', 'pids'] as const)
      if (!works.includes(limit))
        expect(errors.find((one) => one.limit === limit)?.error).toMatch(
          /^the controller .* is not delegated to .*GROUP/,
        )
  },
)

requires('cgroup2', 'root')('where others are in its group it makes no way, and has none', async () => {
  const found = await inVersion2(
    `const { parent, errors } = await probeGroups({ dataDir, owner: undefined, proc })
    console.log(JSON.stringify({ group: inGroup(), parent, error: errors[0].error }))`,
    // Nobody's child any more.
    '(sleep 60 >/dev/null 2>&1 &)',
  )
  expect(found).toEqual({
    group: '/GROUP',
    error: expect.stringMatching(/GROUP holds processes of others beside the server$/),
  })
})

requires('cgroup2', 'root')(
  'in version 2 what has left its process group and ignores signals ends with its group',
  async () => {
    const found = await inVersion2(`
    const { version, folders: { kill } } = currentGroup(proc)
    const none = { memory: null, cpus: null, pids: null }
    const group = groups.makeGroup(groups.groupWithin({ version, folders: { kill } }, 'session.1'), none)
    const stubborn = "setsid sh -c 'trap : TERM HUP; while :; do sleep 300 & wait; done' & wait"
    const ended = run(['sh', '-c', stubborn], { env: { PATH: '${systemPath}' }, group })
    while (groups.groupUsage(group).processes < 3) await new Promise((resolve) => setTimeout(resolve, 5))
    await groups.killGroup(group)
    const { processes } = groups.groupUsage(group)
    const { signal } = await ended
    await groups.removeGroup(group)
    const { existsSync } = await import('node:fs')
    console.log(JSON.stringify({ version, processes, signal, left: existsSync(kill + '/session.1') }))`)
    expect(found).toEqual({ version: 2, processes: 0, signal: 'SIGKILL', left: false })
  },
)

requires('cgroup', 'root')('a server that may not make groups has none, and is told what was refused', async () => {
  await using dir = await tempDir()
  await chmod(dir.path, 0o755)
  const script = `
    const { probeGroups } = await import(${JSON.stringify(new URL('probe-groups.ts', import.meta.url).href)})
    console.log(JSON.stringify(await probeGroups({ dataDir: ${JSON.stringify(dir.path)}, owner: undefined })))`
  const { stdout, stderr } = await run([process.execPath, '--input-type=module', '-e', script], {
    ...{ env: { PATH: systemPath }, owner: { uid: 1_900_000_101, gid: 1_900_000_101 }, timeoutMs: 30_000 },
  })
  expect(stderr).not.toContain('Error:')
  const { parent, errors } = JSON.parse(stdout) as ProvenGroups
  expect(parent).toBeUndefined()
  expect(errors.map(({ limit }) => limit)).toEqual(['memory', 'cpu', 'pids'])
  for (const { error } of errors) expect(error).toContain('EACCES')
})
