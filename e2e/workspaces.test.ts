import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import type { Workspace } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { gitServer, type GitServer } from './lib/git-server.ts'
import { expectRefusal, send } from './lib/http.ts'
import { pendingApproval } from './lib/turns.ts'

const test = requires('claude', 'linux', 'git')
let dir: string
let root: string
let server: TestServer
let client: Client
let token: string
let git: GitServer

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-workspaces-'))
  root = join(dir, 'root')
  mkdirSync(join(root, 'project'), { recursive: true })
  writeFileSync(join(root, 'project', 'file.txt'), 'was there before')
  git = await gitServer(join(dir, 'git'))
  server = await startTestServer({ args: ['--workspace-root', root, '--clone-from', '127.0.0.1'] })
  client = await server.client()
  token = await server.token()
})
afterAll(async () => {
  await server?.stop()
  await git?.[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

const create = (body: object) => send(`${server.url}/v1/workspaces`, 'POST', { token, body })

const settled = (id: string): Promise<Workspace> =>
  until('the clone has ended', async () => {
    const workspace = await client.workspaces.get(id)
    return workspace.status !== 'cloning' && workspace
  })

/** Lets claude write a file there. */
const write = async (workspaceId: string, name: string): Promise<void> => {
  const { id } = await client.sessions.create({ workspaceId })
  const session = client.session(id)
  const turn = session.execute(`@write(${name}|written)`)
  await client.approvals.answer((await pendingApproval(session)).approvalId, { decision: 'allow' })
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  await session.close()
}

test('an empty workspace is a folder of its own, shared by the sessions in it, and goes when it is deleted', async () => {
  const workspace = await client.workspaces.create({ name: 'empty' })
  expect(workspace).toMatchObject({ name: 'empty', source: 'empty', status: 'ready', gitUrl: null, error: null })
  expect(readdirSync(workspace.path)).toEqual([])
  await write(workspace.id, 'one.txt')
  await write(workspace.id, 'two.txt')
  expect(readdirSync(workspace.path).toSorted()).toEqual(['one.txt', 'two.txt'])
  expectRefusal(await create({ name: 'empty' }), 'workspace_exists')
  expect((await client.workspaces.list()).map(({ id }) => id)).toContain(workspace.id)

  await client.workspaces.delete(workspace.id)
  expect(existsSync(workspace.path)).toBe(false)
  expectRefusal(await send(`${server.url}/v1/workspaces/${workspace.id}`, 'GET', { token }), 'workspace_not_found')
  // Its name is free again.
  await client.workspaces.delete((await client.workspaces.create({ name: 'empty' })).id)
})

test('a clone of a repository, of a branch too', async () => {
  const gitUrl = `${git.url}/repository.git`
  const main = await client.workspaces.create({ name: 'clone', gitUrl })
  expect(main).toMatchObject({ source: 'git', gitUrl })
  expect(await settled(main.id)).toMatchObject({ status: 'ready', error: null })
  expect(readFileSync(join(main.path, 'README.md'), 'utf8')).toBe('from main\n')

  const other = await client.workspaces.create({ name: 'clone-other', gitUrl, branch: 'other' })
  await settled(other.id)
  expect(readFileSync(join(other.path, 'README.md'), 'utf8')).toBe('from other\n')
  await write(other.id, 'new.txt')
  await client.workspaces.delete(other.id)
  expect(existsSync(other.path)).toBe(false)
})

test('a clone that fails says why, takes no session, and can be deleted', async () => {
  const { id, path } = await client.workspaces.create({ name: 'broken', gitUrl: `${git.url}/nothing.git` })
  const failed = await settled(id)
  expect(failed).toMatchObject({ status: 'failed', error: expect.stringMatching(/not found|repository/i) })
  expectRefusal(
    await send(`${server.url}/v1/sessions`, 'POST', { token, body: { workspaceId: id } }),
    'workspace_not_ready',
  )
  await client.workspaces.delete(id)
  expect(existsSync(path)).toBe(false)

  const branch = await client.workspaces.create({
    name: 'no-branch',
    gitUrl: `${git.url}/repository.git`,
    branch: 'missing',
  })
  expect(await settled(branch.id)).toMatchObject({ status: 'failed', error: expect.stringContaining('missing') })
})

test('what is no address of a repository on a network is refused, and nothing is run', async () => {
  const marker = join(dir, 'ran')
  const before = git.requests.length
  for (const gitUrl of [
    `ext::sh -c touch% ${marker}`,
    `ext::sh -c "touch ${marker}"`,
    `file://${dir}/git/repository.git`,
    `${dir}/git/repository.git`,
    '../../../git/repository.git',
    `--upload-pack=touch ${marker}`,
    '-oProxyCommand=x',
    `ssh://-oProxyCommand=touch%20${marker}/x`,
    `ssh://user@-oProxyCommand=touch/x`,
    `-oProxyCommand=touch@localhost:x`,
    `user@-oProxyCommand=x:path`,
    `http://user:secret@127.0.0.1/x.git`,
    'fd::17',
    'http://',
    'http://a b/c.git',
    'http://127.0.0.1/a\nb',
    'ftp://127.0.0.1/x.git',
    'HTTP://-x/y',
    ' ',
  ])
    expectRefusal(await create({ name: 'evil', gitUrl }), 'invalid_request')
  for (const branch of ['--upload-pack=x', '-b', 'a b', 'a\nb', '$(id)', '', '../x y', 'x'.repeat(300)])
    expectRefusal(await create({ name: 'evil', gitUrl: `${git.url}/repository.git`, branch }), 'invalid_request')
  expectRefusal(await create({ name: 'evil', branch: 'main' }), 'invalid_request')
  expectRefusal(
    await create({ name: 'evil', gitUrl: `${git.url}/repository.git`, path: join(root, 'project') }),
    'invalid_request',
  )
  expect(existsSync(marker)).toBe(false)
  expect(git.requests.length).toBe(before)
  expect((await client.workspaces.list()).filter(({ name }) => name === 'evil')).toEqual([])
})

test('a name that is no name is refused', async () => {
  for (const name of [
    '',
    '.',
    '..',
    '../x',
    'a/b',
    '-a',
    '.hidden',
    'a b',
    'a\n',
    'a\u0000b',
    'é',
    '~',
    '$HOME',
    'x'.repeat(65),
  ])
    expectRefusal(await create({ name }), 'invalid_request')
})

test('an existing folder inside an allowed root is used where it is, and stays when the workspace is deleted', async () => {
  const workspace = await client.workspaces.create({ name: 'project', path: join(root, 'project') })
  expect(workspace).toMatchObject({ source: 'folder', status: 'ready', path: join(root, 'project') })
  await write(workspace.id, 'added.txt')
  expect(readFileSync(join(root, 'project', 'added.txt'), 'utf8')).toBe('written')
  await client.workspaces.delete(workspace.id)
  expect(readdirSync(join(root, 'project')).toSorted()).toEqual(['added.txt', 'file.txt'])
})

test('a folder outside the allowed roots is refused, by whatever way, and so is what is no folder', async () => {
  symlinkSync('/etc', join(root, 'out'))
  symlinkSync(join(root, 'project'), join(root, 'in'))
  symlinkSync('missing', join(root, 'dangling'))
  symlinkSync('loop', join(root, 'loop'))
  const answers = []
  for (const path of [
    '/etc',
    '/',
    dir,
    server.dataDir,
    `${root}-other`,
    `${root}/../git`,
    `${root}/project/../../git`,
    join(root, 'out'),
    join(root, 'out', 'ssl'),
    join(root, 'dangling'),
    join(root, 'loop'),
    join(root, 'missing'),
    join(root, 'project', 'file.txt'),
    '/proc/self/root/etc',
    '/proc/self/cwd',
    '/dev/null',
  ]) {
    const answer = await create({ name: 'outside', path })
    expectRefusal(answer, 'path_outside_roots')
    answers.push((answer.body as { error: { message: string } }).error.message.replace(path, ''))
  }
  // Nothing is told about what exists.
  expect(new Set(answers).size).toBe(1)
  for (const path of ['relative', './x', '~', 'file:///etc', '/a\u0000b', ''])
    expectRefusal(await create({ name: 'outside', path }), 'invalid_request', 'path_outside_roots')
  // A link to a folder inside is as good as the folder.
  expect(await client.workspaces.create({ name: 'link', path: join(root, 'in') })).toMatchObject({
    path: join(root, 'project'),
  })
})

test('a workspace that sessions use cannot be deleted', async () => {
  const { id, path } = await client.workspaces.create({ name: 'busy' })
  const session = await client.sessions.create({ workspaceId: id })
  expectRefusal(await send(`${server.url}/v1/workspaces/${id}`, 'DELETE', { token }), 'workspace_in_use')
  expect(existsSync(path)).toBe(true)
  await client.session(session.id).close()
  await client.workspaces.delete(id)
  expect(existsSync(path)).toBe(false)
})

test('sessions are listed by workspace, by status and by both, page by page', async () => {
  const [one, other] = [
    await client.workspaces.create({ name: 'one' }),
    await client.workspaces.create({ name: 'other' }),
  ]
  const made: string[] = []
  for (const { id } of [one, one, one, other]) made.push((await client.sessions.create({ workspaceId: id })).id)
  const [first = '', second = '', third = '', elsewhere = ''] = made
  await client.session(second).close()
  for (const id of [first, third, elsewhere])
    await until('it is idle', async () => (await client.sessions.get(id)).status === 'idle')

  type Page = { sessions: { id: string }[]; nextCursor: string | null }
  const page = async (query: string): Promise<Page> => {
    const answer = await send(`${server.url}/v1/sessions?${query}`, 'GET', { token })
    expect(answer.status).toBe(200)
    return answer.body as Page
  }
  const list = async (query: string): Promise<string[]> => (await page(query)).sessions.map(({ id }) => id)
  // Newest first.
  expect(await list(`workspaceId=${one.id}`)).toEqual([third, second, first])
  expect(await list(`workspaceId=${other.id}`)).toEqual([elsewhere])
  expect(await list(`workspaceId=${one.id}&status=idle`)).toEqual([third, first])
  expect(await list(`workspaceId=${one.id}&status=closed`)).toEqual([second])
  expect(await list(`workspaceId=${other.id}&status=closed`)).toEqual([])
  const closed = await list('status=closed&limit=200')
  expect(closed).toContain(second)
  for (const id of [first, third, elsewhere]) expect(closed).not.toContain(id)
  const { sessions, nextCursor } = await page(`workspaceId=${one.id}&status=idle&limit=1`)
  expect(sessions).toMatchObject([{ id: third }])
  expect(
    await list(`workspaceId=${one.id}&status=idle&limit=1&cursor=${encodeURIComponent(nextCursor ?? '')}`),
  ).toEqual([first])
  for (const id of made) await client.session(id).close()
})
