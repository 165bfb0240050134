import { chmodSync, mkdirSync, renameSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { freePort, runServer } from '@aicm/testing/run-server'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
import { logOf } from './lib/turns.ts'

const test = requires('claude', 'bwrap', 'root')

const uidOf = (pid: number | undefined): number => statSync(`/proc/${pid}`).uid
const firstUid = 1_900_000_000

/** A turn in which claude writes a file to its workspace. */
const write = async (client: Client, sessionId: string, name: string): Promise<void> => {
  const session = client.session(sessionId)
  const turn = session.execute(`@write(${name}|written)`)
  const { id } = await until('it asks', async () => (await client.approvals.list({ sessionId }))[0])
  await client.approvals.answer(id, { decision: 'allow' })
  await turn.complete()
}

const processUid = (server: TestServer, sessionId: string): number => uidOf(server.sessionProcesses(sessionId).claude)

test('each user’s sessions run as a uid of their own, which owns what they make, after a restart too', async () => {
  await using server = await startTestServer()
  const other = await server.addUser('bob')
  const clients = [await server.client(), await server.client({ token: other })] as const
  const uids = []
  for (const client of clients) {
    const { id, workspaceId } = await client.sessions.create()
    await write(client, id, 'file.txt')
    const { path } = await client.workspaces.get(workspaceId)
    const user = (await client.me()).id
    const home = join(server.dataDir, 'users', user, 'home')
    const owners = [path, join(path, 'file.txt'), home, join(home, '.claude')].map((file) => statSync(file).uid)
    expect(new Set(owners)).toEqual(new Set([processUid(server, id)]))
    expect(statSync(path).mode & 0o077).toBe(0)
    uids.push(owners[0])
  }
  expect(new Set(uids).size).toBe(2)
  expect(uids).not.toContain(0)
  await server.restart()
  const { id } = await clients[1].sessions.create()
  await clients[1].session(id).execute('@text(hello)').complete()
  expect(processUid(server, id)).toBe(uids[1])
})

test('without a sandbox, too, claude runs as its user, and cannot read another’s files', async () => {
  await using server = await startTestServer({ args: ['--isolation', 'process'] })
  const other = await server.addUser('bob')
  const [client, bob] = [await server.client(), await server.client({ token: other })]
  expect((await client.health()).isolation).toMatchObject({ level: 'process', uidPerUser: true })
  const { id, workspaceId } = await bob.sessions.create()
  await write(bob, id, 'secret.txt')
  const { path } = await bob.workspaces.get(workspaceId)
  const mine = await client.sessions.create()
  const session = client.session(mine.id)
  const turn = session.execute(`@bash(touch asked; id -u; cat ${path}/secret.txt ${server.dataDir}/jwt.key 2>&1)`)
  const approval = await until('it asks', async () => (await client.approvals.list({ sessionId: mine.id }))[0])
  await client.approvals.answer(approval.id, { decision: 'allow' })
  await turn.complete()
  const result = (await logOf(client, mine.id)).find((message) => message.type === 'tool_result')
  expect(result?.content).toMatch(/^(Exit code 1\n)?19\d{8}\n(.*Permission denied\n?){2}/)
})

test('what a server without uids has made is given to the users, and their conversations go on', async () => {
  await using dir = await tempDir()
  const dataDir = join(dir.path, 'data')
  chmodSync(dir.path, 0o711)
  let id: string
  {
    await using server = await startTestServer({ dataDir, args: ['--uid-range', 'none', '--stop-sessions'] })
    const client = await server.client()
    id = (await client.sessions.create()).id
    await write(client, id, 'before.txt')
    expect(processUid(server, id)).toBe(0)
    await server.terminate()
  }
  await using server = await startTestServer({ dataDir })
  const client = await server.client()
  await write(client, id, 'after.txt')
  expect(processUid(server, id)).toBeGreaterThanOrEqual(firstUid)
  const { path } = await client.workspaces.get((await client.sessions.get(id)).workspaceId)
  for (const name of ['before.txt', 'after.txt']) expect(statSync(join(path, name)).uid).toBe(processUid(server, id))
  expect((await logOf(client, id)).some((message) => JSON.stringify(message).includes('conversation_lost'))).toBe(false)
})

test('a workspace that was replaced by a link is refused, whatever the link leads to', async () => {
  await using dir = await tempDir()
  const root = join(dir.path, 'root')
  mkdirSync(join(root, 'outer/inner'), { recursive: true })
  await using server = await startTestServer({ args: ['--workspace-root', root, '--max-retries', '0'] })
  const client = await server.client()
  await client.workspaces.create({ name: 'outer', path: join(root, 'outer') })
  const inner = await client.workspaces.create({ name: 'inner', path: join(root, 'outer/inner') })
  // As a session in the outer one could.
  renameSync(join(root, 'outer/inner'), join(root, 'outer/away'))
  symlinkSync(server.dataDir, join(root, 'outer/inner'))
  const { id } = await client.sessions.create({ workspaceId: inner.id })
  const { reason } = await until('the session has ended', async () => {
    const session = await client.sessions.get(id)
    return session.status === 'closed' && session
  })
  expect(reason).toContain('is not what it was')
})

/** A start on a host where `prepare` was run in namespaces of its own; what it prints when it refuses. */
const refusalOn = async (
  prepare: string,
  env: Record<string, string>,
): Promise<{ code: number | null; output: string }> => {
  await using dir = await tempDir()
  const { exited, output, listening } = runServer({
    args: ['--port', `${await freePort()}`, '--data-dir', join(dir.path, 'data')],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: dir.path, ...env },
    cwd: dir.path,
    inside: ['unshare', '-U', '-r', '-m', '-n', 'sh', '-c', `${prepare} && exec "$@"`, 'sh'],
  })
  listening.catch(() => undefined)
  return { code: (await exited).code, output: output() }
}

test('a server that must be sealed and cannot be does not start, and says what is missing', async () => {
  const required = { AICM_REQUIRE_ISOLATION: 'sealed' }
  const noNetwork = await refusalOn('echo 0 >/proc/sys/user/max_net_namespaces', required)
  expect(noNetwork.code).toBe(1)
  expect(noNetwork.output).toContain('"sealed" is required, and only "sandbox" works here')
  expect(noNetwork.output).toMatch(/sealed: bwrap: .*namespace.*sysctl user\.max_net_namespaces/is)
  const noUsers = await refusalOn('echo 0 >/proc/sys/user/max_user_namespaces', required)
  expect(noUsers.code).toBe(1)
  expect(noUsers.output).toContain('only "process" works here')
  expect(noUsers.output).toContain('sysctl user.max_user_namespaces')
  const contradiction = await refusalOn('true', { ...required, AICM_ISOLATION: 'sandbox' })
  expect(contradiction.code).toBe(2)
})

test('no isolation is for one user only, unless the operator says that it is intended', async () => {
  await using server = await startTestServer({ claude: 'fake', args: ['--isolation', 'none'] })
  const client = await server.client()
  const { id } = await client.sessions.create()
  await client.session(id).execute('hello').complete()
  await server.addUser('bob')
  const refused = await client.sessions.create()
  await until('the session tells why', async () => {
    const session = await client.sessions.get(refused.id)
    return session.reason?.includes('each user could read all others') === true
  })
})
