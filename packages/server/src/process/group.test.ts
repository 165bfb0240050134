import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { requires } from '@aicm/testing/requires'
import { outputLines, readUntil, shellProcess, type ShellProcess } from '@aicm/testing/shell-process'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { adopt } from './adopt.ts'
import { foldersOf, groupUsage, groupWithin, killGroup, makeGroup, setGroupWeight, type Group } from './group.ts'
import { processesWithMarker } from './identity.ts'
import { launch } from './launch.ts'

const grouped = requires('cgroup')
const MB = 2 ** 20
/** Takes all memory that it is given. */
const hog = 'tail /dev/zero'

const groupOf = ({ process }: ShellProcess): Group => {
  const { group } = process.record
  if (group === undefined) throw new Error('it has no group')
  return group
}
const linesOf = async ({ process }: ShellProcess): Promise<string[]> =>
  (await Array.fromAsync(outputLines(process))).map(({ text }) => text)
const isGone = (group: Group): boolean => !foldersOf(group).some((folder) => existsSync(folder))

grouped('a process is in its group before it runs anything, and has none of its descriptors', async () => {
  await using child = await shellProcess('cat /proc/self/cgroup; ls -l /proc/self/fd', { group: {} })
  const group = groupOf(child)
  const said = await linesOf(child)
  const name = basename(foldersOf(group)[0] ?? '')
  expect(said.filter((line) => line.endsWith(`/${name}`)).length).toBe(foldersOf(group).length)
  expect(said.join()).not.toContain('cgroup.procs')
  await child.process.exited
  expect(isGone(group)).toBe(true)
})

requires('cgroup', 'bwrap')('in a sandbox it is in its group too, and does not see where', async () => {
  await using child = await shellProcess('cat /proc/self/cgroup; echo started; read forever', {
    sandbox: true,
    group: {},
  })
  expect((await readUntil(child.process, (text) => text === 'started')).join()).not.toContain('aicm-')
  expect(groupUsage(groupOf(child)).processes).toBeGreaterThan(1)
})

for (const sandbox of [false, true]) {
  const define = requires('cgroup', ...(sandbox ? (['bwrap'] as const) : []))
  const level = sandbox ? 'sandbox' : 'process'

  define(`at level ${level} what takes too much memory is ended, and its neighbours go on`, async () => {
    await using neighbour = await shellProcess('while read line; do echo "got $line"; done', { group: {}, sandbox })
    await using child = await shellProcess(`${hog}; echo "ended with $?"; read forever`, {
      ...{ sandbox, group: { memory: 64 * MB } },
    })
    expect(await readUntil(child.process, (text) => text.startsWith('ended'))).toEqual(['ended with 137'])
    const usage = groupUsage(groupOf(child))
    expect(usage).toMatchObject({ oomKills: 1 })
    expect(usage.memoryPeakBytes).toBeLessThanOrEqual(64 * MB)
    await neighbour.process.write('this\n')
    await readUntil(neighbour.process, (text) => text === 'got this')
    expect(groupUsage(groupOf(neighbour))).toMatchObject({ oomKills: 0 })
  })

  define(`at level ${level} a process that was itself ended for its memory says so`, async () => {
    await using child = await shellProcess(`exec ${hog}`, { sandbox, group: { memory: 64 * MB } })
    expect(await child.process.exited).toMatchObject({ signal: 'SIGKILL', outOfMemory: true })
    await using neighbour = await shellProcess('kill -KILL $$', { group: {} })
    expect(await neighbour.process.exited).not.toHaveProperty('outOfMemory')
  })
}

grouped('what a process has outlived is not blamed for its end', async () => {
  const now = performance.now.bind(performance)
  let ahead = 0
  using clock = vi.spyOn(performance, 'now')
  clock.mockImplementation(() => now() + ahead)
  const answer = 'while read line; do echo "got $line"; test "$line" = end && kill -KILL $$; done'
  await using child = await shellProcess(`${hog}; echo "ended with $?"; ${answer}`, { group: { memory: 64 * MB } })
  const said: string[] = []
  const reading = (async () => {
    for await (const { text } of outputLines(child.process)) said.push(text)
  })()
  await until('its tool was ended', () => said.includes('ended with 137'))
  expect(groupUsage(groupOf(child))).toMatchObject({ oomKills: 1 })
  for (const line of ['one', 'two', 'end']) {
    // What it does about that is looked at once a second.
    ahead += 1000
    await child.process.write(`${line}\n`)
    await until(`it has answered ${line}`, () => said.includes(`got ${line}`))
  }
  expect(await child.process.exited).toEqual({ code: 137, signal: 'SIGKILL' })
  await reading
})

grouped('a fork bomb stays inside, and its end takes all of it along', async () => {
  const limit = 64
  await using bomb = await shellProcess(`sh -c 'while :; do setsid sleep 300 & done'; echo full; read forever`, {
    group: { pids: limit },
  })
  await readUntil(bomb.process, (text) => text === 'full')
  const { tasks } = groupUsage(groupOf(bomb))
  expect(tasks).toBeLessThanOrEqual(limit)
  expect(tasks).toBeGreaterThan(limit / 2)
  await using neighbour = await shellProcess('sleep 0 & wait; echo fine', { group: { pids: limit } })
  expect(await linesOf(neighbour)).toEqual(['fine'])
  await bomb.process.stop(0)
  expect(await processesWithMarker(bomb.process.record.marker)).toEqual([])
  expect(isGone(groupOf(bomb))).toBe(true)
})

grouped('what computes more than its CPUs is held back, and nobody else', async () => {
  await using neighbour = await shellProcess('read forever', { group: { cpus: 0.5 } })
  await using child = await shellProcess('while :; do :; done', { group: { cpus: 0.1 } })
  await until('it is held back', () => (groupUsage(groupOf(child)).throttledPeriods ?? 0) > 0)
  expect(groupUsage(groupOf(child)).cpuSeconds).toBeGreaterThan(0)
  expect(groupUsage(groupOf(neighbour)).throttledPeriods).toBe(0)
})

grouped('another server finds it in its group, and removes that with it', async () => {
  await using child = await shellProcess('read line; echo "got $line"; read forever', { group: { pids: 64 } })
  child.process.release()
  expect(isGone(groupOf(child))).toBe(false)
  const again = adopt(JSON.parse(JSON.stringify(child.process.record)))
  await again.write('this\n')
  await readUntil(again, (text) => text === 'got this')
  expect(groupUsage(groupOf(child)).processes).toBeGreaterThan(0)
  await again.stop(0)
  expect(isGone(groupOf(child))).toBe(true)
})

grouped('without cgroup.kill, too, nothing in a group gets away', async () => {
  await using child = await shellProcess(
    `setsid sh -c "trap '' TERM; while :; do sleep 300 & sleep 0.001; done" & echo started; read forever`,
    { group: { pids: 200 } },
  )
  await readUntil(child.process, (text) => text === 'started')
  const { version, folders } = groupOf(child)
  const { kill: _, ...rest } = folders
  await killGroup({ version, folders: rest })
  expect(groupUsage(groupOf(child)).processes).toBe(0)
})

grouped('what cannot be started leaves no group behind', async () => {
  await using dir = await tempDir()
  await using child = await shellProcess('true', { group: {} })
  await child.process.exited
  const group = groupOf(child)
  const spec = { dir: join(dir.path, '1'), cwd: dir.path, env: {}, marker: 'A=b', exitStatus: 'command' } as const
  const limits = { memory: null, cpus: null, pids: null }
  const makeGone = (): Group => makeGroup(group, limits)
  await expect(launch({ ...spec, argv: ['true'], env: { PATH: '/nowhere' }, makeGroup: makeGone })).rejects.toThrow(
    'ENOENT',
  )
  expect(isGone(group)).toBe(true)
})

/** Plain files in the place of a kernel's. */
const fakeGroup = async (dir: string, version: 1 | 2, files: Record<string, string>): Promise<Group> => {
  const folder = join(dir, 'group')
  await mkdir(folder)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return { version, folders: { memory: folder, cpu: folder, cpuacct: folder, pids: folder, kill: folder } }
}

test('the figures of version 2 are read', async () => {
  await using dir = await tempDir()
  const group = await fakeGroup(dir.path, 2, {
    'memory.current': '1048576\n',
    'memory.peak': '2097152\n',
    'memory.events': 'low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\noom_group_kill 0\n',
    'cpu.stat': 'usage_usec 2500000\nuser_usec 1\nsystem_usec 1\nnr_periods 9\nnr_throttled 4\nthrottled_usec 12\n',
    'pids.current': '12\n',
    'cgroup.procs': '7\n8\n',
  })
  expect(groupUsage(group)).toEqual({
    ...{ memoryBytes: MB, memoryPeakBytes: 2 * MB, cpuSeconds: 2.5, throttledPeriods: 4 },
    ...{ processes: 2, tasks: 12, oomKills: 3 },
  })
})

test('the figures of version 1 are read, and what there is not is null', async () => {
  await using dir = await tempDir()
  const group = await fakeGroup(dir.path, 1, {
    'memory.usage_in_bytes': '1048576\n',
    'memory.max_usage_in_bytes': '2097152\n',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
    'cpuacct.usage': '2500000000\n',
    'cgroup.procs': '7\n',
  })
  expect(groupUsage(group)).toEqual({
    ...{ memoryBytes: MB, memoryPeakBytes: 2 * MB, cpuSeconds: 2.5, throttledPeriods: null },
    ...{ processes: 1, tasks: null, oomKills: 3 },
  })
  expect(groupUsage(groupWithin(group, 'gone'))).toMatchObject({ memoryBytes: null, oomKills: null, processes: 0 })
})

test('a weight is set in the words of each version', async () => {
  await using dir = await tempDir()
  setGroupWeight({ version: 2, folders: { cpu: dir.path } }, 0.5)
  setGroupWeight({ version: 1, folders: { cpu: dir.path } }, 0.5)
  setGroupWeight({ version: 1, folders: {} }, 0.5)
  expect(await readFile(join(dir.path, 'cpu.weight'), 'utf8')).toBe('50')
  expect(await readFile(join(dir.path, 'cpu.shares'), 'utf8')).toBe('512')
})

test('limits are set in the words of each version', async () => {
  const limits = { memory: 64 * MB, cpus: 1.5, pids: 100 }
  const written = async (version: 1 | 2): Promise<Record<string, string>> => {
    await using dir = await tempDir()
    const folder = join(dir.path, 'made')
    makeGroup({ version, folders: { memory: folder, cpu: folder, pids: folder } }, limits)
    const files =
      version === 2
        ? ['memory.max', 'memory.swap.max', 'cpu.max', 'pids.max']
        : ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', 'cpu.cfs_period_us', 'cpu.cfs_quota_us', 'pids.max']
    return Object.fromEntries(
      await Promise.all(files.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
    )
  }
  expect(await written(2)).toEqual({
    ...{ 'memory.max': '67108864', 'memory.swap.max': '0', 'cpu.max': '150000 100000', 'pids.max': '100' },
  })
  expect(await written(1)).toEqual({
    ...{ 'memory.limit_in_bytes': '67108864', 'memory.memsw.limit_in_bytes': '67108864', 'pids.max': '100' },
    ...{ 'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': '150000' },
  })
})
