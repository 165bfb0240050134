import { chmodSync, existsSync, mkdirSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { toolResultText, type Client } from '@aicm/client'
import { groupFolders } from '@aicm/testing/groups'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { freePort, runServer } from '@aicm/testing/run-server'
import { allGone, startTestServer, type TestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { logOf } from './lib/turns.ts'

const test = requires('cgroup', 'bwrap', 'root')
const MB = 2 ** 20

const outOfMemory = '@hog-once @text(again)'

/** The folders of a session's groups. */
const foldersOf = ({ dataDir }: TestServer, sessionId: string): string[] =>
  groupFolders(dataDir).filter((folder) => folder.includes(sessionId))

const textOf = async (client: Client, sessionId: string): Promise<string> =>
  JSON.stringify(await logOf(client, sessionId))

test('a claude that takes too much memory is ended and resumed, and says why; its neighbours go on', async () => {
  await using server = await startTestServer({ claude: 'fake', args: ['--limit', 'memory=256m'] })
  const client = await server.client()
  expect((await client.health()).isolation).toMatchObject({
    ...{ limits: expect.stringMatching(/^cgroup[12]$/), kill: 'cgroup' },
  })
  const weights = groupFolders(server.dataDir)
    .filter((folder) => basename(folder).startsWith('aicm-'))
    .flatMap((folder) => ['cpu.shares', 'cpu.weight'].map((name) => join(folder, name)))
    .filter((file) => existsSync(file))
  // The server goes before its sessions.
  expect(weights.map((file) => Number(readFileSync(file, 'utf8')))).toEqual([
    weights[0]?.endsWith('shares') ? Math.round(1024 / 3) : Math.round(100 / 3),
  ])
  const [greedy, neighbour] = [await client.sessions.create(), await client.sessions.create()]
  await client.session(neighbour.id).execute('hello').complete()
  const before = server.sessionProcesses(neighbour.id).claude
  await client.session(greedy.id).execute(outOfMemory).complete()
  const log = await textOf(client, greedy.id)
  expect(log).toContain('out_of_memory')
  expect(log).toContain('again')
  expect(await client.sessions.get(greedy.id)).toMatchObject({ status: 'idle', generation: 2 })
  await client.session(neighbour.id).execute('@text(here)').complete()
  expect(server.sessionProcesses(neighbour.id).claude).toBe(before)
  expect(foldersOf(server, greedy.id).every((folder) => folder.endsWith('.2'))).toBe(true)
})

const withClaude = requires('cgroup', 'bwrap', 'root', 'claude')

/** A turn in which claude asks once whether it may run a tool. */
const runTool = async (client: Client, sessionId: string, prompt: string) => {
  const turn = client.session(sessionId).execute(prompt)
  const { id } = await until('it asks', async () => (await client.approvals.list({ sessionId }))[0])
  await client.approvals.answer(id, { decision: 'allow' })
  return turn
}

withClaude('a tool that takes too much memory is ended by itself: claude is told, and goes on', async () => {
  await using server = await startTestServer({ args: ['--limit', 'memory=512m'] })
  const client = await server.client()
  const { id } = await client.sessions.create()
  await (await runTool(client, id, '@bash(touch asked; tail /dev/zero)')).complete()
  const now = await client.session(id).resources()
  expect(now).toMatchObject({ source: 'cgroup', oomKills: 1, limits: { memory: 512 * MB, cpus: null } })
  expect(now.memoryPeakBytes).toBeLessThanOrEqual(512 * MB)
  expect(await client.sessions.get(id)).toMatchObject({ status: 'idle', generation: 1 })
  expect((await logOf(client, id)).find(({ type }) => type === 'tool_result')).toMatchObject({
    content: expect.stringContaining('Exit code 137'),
  })
})

withClaude(
  'a fork bomb fills its own group, others can start what they want, and it is ended with its session',
  async () => {
    const pids = 128
    await using server = await startTestServer({ args: ['--limit', `pids=${pids}`, '--max-retries', '0'] })
    const client = await server.client()
    const { id } = await client.sessions.create()
    const turn = await runTool(client, id, '@bash(touch asked; while :; do setsid sleep 300 & done)')
    turn.complete().catch(() => undefined)
    const most = await until('its group is full', async () => {
      const { tasks } = await client.session(id).resources()
      return tasks !== null && tasks >= pids - 8 && tasks
    })
    // claude may give up in a group so full: then its end has come already when it is asked for.
    const members = server.sessionProcesses(id).all.map(({ pid }) => pid)
    expect(most).toBeLessThanOrEqual(pids)
    const neighbour = await client.sessions.create()
    await (await runTool(client, neighbour.id, '@bash(touch asked; echo fine)')).complete()
    expect(await textOf(client, neighbour.id)).toContain('fine')
    await client.session(id).close()
    await allGone(members)
    await until('its group is gone', () => foldersOf(server, id).length === 0)
  },
)

test('a session stays in its group when the server dies, and its group goes with it', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const { id } = await client.sessions.create()
  const other = await client.sessions.create()
  await client.session(id).execute('hello').complete()
  await client.session(other.id).execute('hello').complete()
  const { claude } = server.sessionProcesses(id)
  const folders = foldersOf(server, id)
  expect(folders.length).toBeGreaterThan(0)
  await server.kill9()
  // While nobody looks.
  for (const { pid } of server.sessionProcesses(other.id).all) kill(pid, 'SIGKILL')
  expect(foldersOf(server, other.id).length).toBeGreaterThan(0)
  await server.restart()
  const after = await server.client({ token: await server.token() })
  const now = await after.session(id).resources()
  expect(now.source).toBe('cgroup')
  expect(now.processes).toBeGreaterThan(0)
  expect(server.sessionProcesses(id).claude).toBe(claude)
  await until('the other’s old group is gone', () => !foldersOf(server, other.id).some((path) => path.endsWith('.1')))
  await after.sessions.delete(id)
  await until('its group is gone', () => !folders.some((folder) => existsSync(folder)))
  await after.sessions.delete(other.id)
  await until('all are', () => foldersOf(server, other.id).length === 0)
  await server.terminate()
  expect(groupFolders(server.dataDir)).toEqual([])
})

requires(
  'cgroup',
  'root',
  'net-namespace',
)('a server that is stopped leaves stale files for the next one to remove, and no group', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const { id } = await client.sessions.create()
  await client.session(id).execute('hello').complete()
  await server.kill9()
  for (const { pid } of server.sessionProcesses(id).all) kill(pid, 'SIGKILL')
  const stale = ['ses_gone', 'ses_gone_too'].map((name) => join(server.dataDir, 'sessions', name))
  for (const path of stale) {
    mkdirSync(path)
    writeFileSync(join(path, 'file'), '')
  }
  {
    // They cannot be removed however often that is tried.
    await using first = await mountSmallDisk(100, { within: stale[0] })
    await using second = await mountSmallDisk(100, { within: stale[1] })
    await server.restart()
    await until('the removal has begun', () => stale.some((path) => !existsSync(join(path, 'file'))))
    expect(await server.terminate()).toBe(0)
    expect([first.path, second.path].every((path) => existsSync(path))).toBe(true)
    expect(groupFolders(server.dataDir)).toEqual([])
  }
  await server.restart()
  await until('they are removed', () => !stale.some((path) => existsSync(path)))
})

test('an administrator gives a user other limits, and a session may have less of them, not more', async () => {
  await using server = await startTestServer({ claude: 'fake', args: ['--limit', 'cpus=1', '--limit', 'core=off'] })
  const [admin, ann] = [await server.token(), await server.addUser('ann')]
  const client = await server.client({ token: ann })
  const me = (await client.me()).id
  const ask = (method: string, path: string, token: string, body?: object) =>
    send(`${server.url}${path}`, method, { token, ...(body === undefined ? {} : { body }) })
  expectRefusal(await ask('PUT', `/v1/users/${me}/limits`, ann, { memory: null }), 'forbidden')
  expectRefusal(await ask('PUT', `/v1/users/${me}/limits`, admin, { memory: 1 }), 'invalid_request')
  expectRefusal(await ask('PUT', '/v1/users/usr_00000000000000000000000009/limits', admin, {}), 'user_not_found')
  expect(await ask('PUT', `/v1/users/${me}/limits`, admin, { memory: 512 * MB, pids: null })).toMatchObject({
    status: 200,
    body: { memory: 512 * MB, pids: null, cpus: 1, core: null },
  })
  expect((await ask('GET', '/v1/limits', ann)).body).toMatchObject({ memory: 512 * MB })
  expectRefusal(await ask('POST', '/v1/sessions', ann, { limits: { memory: 513 * MB } }), 'limit_too_high')
  expectRefusal(await ask('POST', '/v1/sessions', ann, { limits: {} }), 'invalid_request')
  const { id } = await client.sessions.create({ limits: { memory: 256 * MB, files: 200 } })
  const turn = client.session(id).execute(outOfMemory)
  await turn.complete()
  const { limits, memoryPeakBytes } = await client.session(id).resources()
  expect(limits).toMatchObject({ memory: 256 * MB, files: 200, pids: null, cpus: 1 })
  expect(memoryPeakBytes).toBeLessThanOrEqual(256 * MB)
  expect(await textOf(client, id)).toContain('out_of_memory')
  await server.restart()
  expect((await ask('GET', `/v1/users/${me}/limits`, admin)).body).toMatchObject({ memory: 512 * MB, pids: null })
  expect((await ask('GET', `/v1/sessions/${id}/resources`, ann)).body).toMatchObject({ limits: { memory: 256 * MB } })
  expectRefusal(await ask('GET', `/v1/sessions/${id}/resources`, await server.addUser('eve')), 'session_not_found')
})

withClaude('only the operator decides what sessions in a workspace may read and use', async () => {
  await using dir = await tempDir()
  chmodSync(dir.path, 0o755)
  writeFileSync(join(dir.path, 'manual.txt'), 'read me', { mode: 0o644 })
  symlinkSync(dir.path, join(dir.path, 'link'))
  await using server = await startTestServer()
  const [admin, ann] = [await server.token(), await server.addUser('ann')]
  const client = await server.client({ token: ann })
  const workspace = await client.workspaces.create({ name: 'confined' })
  const path = `/v1/workspaces/${workspace.id}/confinement`
  const ask = (method: string, token: string, body?: object, at = path) =>
    send(`${server.url}${at}`, method, { token, ...(body === undefined ? {} : { body }) })
  const none = { readOnlyMounts: [], allowedTools: [], disallowedTools: [] }
  const wanted = { readOnlyMounts: [dir.path], allowedTools: ['Bash(touch:*)'], disallowedTools: ['WebFetch'] }
  expectRefusal(await ask('PUT', ann, wanted), 'forbidden')
  expectRefusal(await ask('GET', ann), 'forbidden')
  expect((await ask('GET', admin)).body).toEqual(none)
  for (const mount of [server.dataDir, join(dir.path, 'link'), join(dir.path, 'nowhere'), '/'])
    expectRefusal(await ask('PUT', admin, { ...none, readOnlyMounts: [mount] }), 'invalid_request')
  expect((await ask('GET', admin)).body).toEqual(none)

  const before = await client.sessions.create({ workspaceId: workspace.id })
  await client.session(before.id).execute('hello').complete()
  expect(await ask('PUT', admin, wanted)).toMatchObject({ status: 200, body: wanted })
  const { id } = await client.sessions.create({ workspaceId: workspace.id })
  // Nobody is asked about the first.
  await client.session(id).execute('@bash(touch made)').complete()
  expect(existsSync(join(workspace.path, 'made'))).toBe(true)
  const read = `cat ${join(dir.path, 'manual.txt')}; echo changed >${join(dir.path, 'manual.txt')}`
  await (await runTool(client, id, `@bash(rm made; ${read})`)).complete()
  const log = await logOf(client, id)
  expect(JSON.stringify(log)).toMatch(/read me.*Read-only file system/)
  const toolsOf = async (sessionId: string) =>
    (await logOf(client, sessionId)).flatMap((message) => (message.type === 'metadata' ? message.tools : []))
  expect(await toolsOf(before.id)).toContain('WebFetch')
  expect(await toolsOf(id)).not.toContain('WebFetch')

  // What has become a link meanwhile is not followed.
  expect((await ask('PUT', admin, { ...none, readOnlyMounts: [join(dir.path, 'later')] })).status).toBe(400)
  mkdirSync(join(dir.path, 'later'))
  expect((await ask('PUT', admin, { ...none, readOnlyMounts: [join(dir.path, 'later')] })).status).toBe(200)
  rmdirSync(join(dir.path, 'later'))
  symlinkSync(server.dataDir, join(dir.path, 'later'))
  const refused = await client.sessions.create({ workspaceId: workspace.id })
  await until('the session says why', async () =>
    JSON.stringify(await client.sessions.get(refused.id)).includes('cannot be a read-only mount'),
  )
})

test('where groups cannot be made it says so, and what its processes have is read from /proc', async () => {
  await using server = await startTestServer({
    claude: 'fake',
    inside: [
      'unshare',
      '-m',
      'sh',
      '-c',
      'for d in /sys/fs/cgroup/*; do mount -o remount,bind,ro "$d"; done; exec "$@"',
      'sh',
    ],
  })
  const client = await server.client()
  const { isolation } = await client.health()
  expect(isolation).toMatchObject({ limits: 'rlimit', kill: 'pidns' })
  expect(isolation.missing.map(({ part }) => part)).toEqual([
    'a memory limit, a CPU limit, a limit of processes for each session',
  ])
  expect(isolation.missing[0]?.error).toContain('EROFS')
  const { id } = await client.sessions.create()
  await client.session(id).execute('hello').complete()
  const now = await client.session(id).resources()
  expect(now).toMatchObject({ source: 'proc', memoryPeakBytes: null })
  expect(now.memoryBytes).toBeGreaterThan(MB)
  expect(now.processes).toBeGreaterThan(1)
})

requires('bwrap', 'root')(
  'the limits of each process hold in a session: it tells them, what is more fails, and its neighbours go on',
  async () => {
    const firstUid = 1_930_000_000 + 10 * process.pid
    await using server = await startTestServer({
      claude: 'fake',
      // What is off is the server's own.
      inside: ['prlimit', '--core=1048576'],
      args: [
        ...['files=200', 'core=off', 'processes=64', 'fileSize=8m'].flatMap((limit) => ['--limit', limit]),
        // Other servers' processes would count, where their users have the same uids.
        ...['--uid-range', `${firstUid}-${firstUid + 9}`],
      ],
    })
    const client = await server.client()
    expect((await client.health()).isolation.uidPerUser).toBe(true)
    const neighbour = await server.client({ token: await server.addUser('bob') })
    const other = await neighbour.sessions.create()
    const { id } = await client.sessions.create()
    const going = neighbour.session(other.id).execute('@hang')
    await until('the neighbour’s turn runs', async () => (await neighbour.sessions.get(other.id)).status === 'running')

    const run = async (sessionId: string, command: string, shell = 'bash'): Promise<string> => {
      const { lastSeq } = await client.sessions.get(sessionId)
      await client.session(sessionId).execute(`@bash(${shell} -c '${command}')`).complete()
      const result = (await logOf(client, sessionId)).find(({ type, seq }) => type === 'tool_result' && seq > lastSeq)
      return result?.type === 'tool_result' ? toolResultText(result.content) : ''
    }
    expect(await run(id, 'ulimit -n; ulimit -Hn; ulimit -c; ulimit -u; ulimit -f')).toBe(
      ['200', '200', '1024', '64', '8192'].join('\n'),
    )
    const open = (files: number) => `for i in $(seq ${files}); do exec {fd}</dev/null || exit 3; done; echo opened`
    expect(await run(id, open(100))).toBe('opened')
    expect(await run(id, open(500))).toMatch(/Too many open files/)
    expect(await run(id, 'head -c 9000000 /dev/zero >large; stat -c %s large')).toMatch(/^[^]*\b8388608$/)
    // They are ended whether all were started or not: what they hold nobody else could have.
    const start = (processes: number) =>
      `pids=; trap "kill \\$pids" EXIT; for i in $(seq ${processes}); do sleep 300 >/dev/null 2>&1 & pids="$pids $!"; done; echo started`
    expect(await run(id, start(20), 'sh')).toBe('started')
    expect(await run(id, start(200), 'sh')).toMatch(/Cannot fork/)

    // What it has less of by itself, and what a core may be where nothing else is said.
    const { id: less } = await client.sessions.create({ limits: { files: 100, core: 0 } })
    expect(await run(less, 'ulimit -n; ulimit -c; ulimit -u')).toBe('100\n0\n64')
    expect((await client.session(less).resources()).limits).toMatchObject({ files: 100, core: 0, processes: 64 })

    expect(await neighbour.sessions.get(other.id)).toMatchObject({ status: 'running', generation: 1 })
    await neighbour.session(other.id).interrupt()
    expect(await going.complete()).toMatchObject({ result: 'interrupted' })
    const { complete } = await neighbour.run('@text(fine)')
    expect(complete).toMatchObject({ result: 'success' })
  },
)

test('a limit that is none is refused at the start', async () => {
  await using dir = await tempDir()
  for (const limit of ['memory=1k', 'cpus=-1', 'pids=2.5', 'pids=100k', 'colour=3']) {
    const { exited, output } = runServer({
      args: ['--port', `${await freePort()}`, '--data-dir', join(dir.path, 'data'), '--limit', limit],
      env: { PATH: '/usr/bin:/bin', HOME: dir.path },
      cwd: dir.path,
    })
    expect((await exited).code).toBe(2)
    expect(output()).toContain('--limit (AICM_LIMITS)')
  }
})
