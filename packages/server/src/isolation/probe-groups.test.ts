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
