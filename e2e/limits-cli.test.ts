import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { rowsIn } from './lib/table.ts'

const test = requires('linux')
let home: string
let server: TestServer
let tokens: { admin: string; ada: string }

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'aicm-limits-'))
  const settings = ['--quota', 'sessions=5', '--limit', 'memory=1g', '--limit', 'cpus=off']
  server = await startTestServer({ claude: 'fake', args: settings })
  tokens = { admin: await server.token(), ada: await server.addUser('ada') }
})
afterAll(async () => {
  await server?.stop()
  rmSync(home, { recursive: true, force: true })
})

type Who = keyof typeof tokens
const aicm = (who: Who, ...args: string[]) => startAicm(server, home, args, { env: { AICM_TOKEN: tokens[who] } }).ended
const tableOf = async (who: Who, ...args: string[]): Promise<Record<string, string[]>> => {
  const { code, stdout, stderr } = await aicm(who, ...args)
  expect(code, stderr).toBe(0)
  return rowsIn(stdout)
}
const jsonOf = async (who: Who, ...args: string[]): Promise<unknown> => {
  const { code, stdout, stderr } = await aicm(who, '--json', ...args)
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout)
}
const refused = (code: number, text: string) => ({ code, stdout: '', stderr: expect.stringContaining(text) })

test('an administrator sets quotas of a user by name, one by one, and they bind', async () => {
  expect(await tableOf('ada', 'quotas')).toMatchObject({
    QUOTA: ['USED', 'AT MOST'],
    sessions: ['0', '5'],
    bytes: [expect.any(String), '50g'],
  })
  expect(await tableOf('admin', 'quotas', 'set', 'ADA', 'sessions=0', 'bytes=1.5g')).toMatchObject({
    QUOTA: ['USED', 'AT MOST', 'SET FOR'],
    sessions: ['0', '0', 'ada'],
    prompts: ['0', '1000', 'everybody'],
    bytes: [expect.any(String), '1.5g', 'ada'],
  })
  expect(await aicm('ada', 'run', 'x')).toMatchObject({ code: 1, stderr: expect.stringContaining('quota_exceeded') })
  await aicm('admin', 'quotas', 'set', 'ada', 'prompts=off', 'sessions=default')
  expect(await jsonOf('admin', 'quotas', 'show', 'ada')).toMatchObject({
    sessions: { limit: 5 },
    prompts: { limit: null },
    changes: { prompts: null, bytes: 1.5 * 2 ** 30 },
  })
  expect(await aicm('ada', 'run', '@text(there)')).toMatchObject({ code: 0, stdout: 'there\n' })
  expect(await jsonOf('admin', 'quotas', 'clear', 'ada')).toMatchObject({ prompts: { limit: 1000 }, changes: {} })
})

test('an administrator sets limits of a user by name, and the user sees them', async () => {
  expect(await tableOf('ada', 'limits')).toMatchObject({ LIMIT: ['AT MOST'], memory: ['1g'], cpus: ['off'] })
  await aicm('admin', 'limits', 'set', 'ada', 'memory=256m')
  expect(await tableOf('admin', 'limits', 'set', 'ada', 'cpus=1.5')).toMatchObject({
    memory: ['256m', 'ada'],
    cpus: ['1.5', 'ada'],
    pids: ['4096', 'everybody'],
  })
  expect(await tableOf('ada', 'limits', 'show')).toMatchObject({ memory: ['256m'], cpus: ['1.5'] })
  expect(await jsonOf('admin', 'limits', 'clear', 'ada')).toMatchObject({ memory: 2 ** 30, cpus: null, changes: {} })
})

test('what sets nothing is refused, and who may not set does not', async () => {
  for (const group of ['quotas', 'limits']) {
    const name = group === 'quotas' ? 'sessions' : 'memory'
    expect(await aicm('admin', group, 'set', 'ada', `${name}=much`)).toMatchObject(refused(2, `${name}=10`))
    expect(await aicm('admin', group, 'set', 'ada')).toMatchObject(refused(2, 'missing'))
    expect(await aicm('admin', group, 'show', 'nobody')).toMatchObject(refused(1, 'aicm users ls'))
    for (const args of [
      ['show', 'ada'],
      ['set', 'ada', `${name}=off`],
      ['clear', 'ada'],
    ])
      expect(await aicm('ada', group, ...args)).toMatchObject(refused(1, 'users.manage'))
  }
  // Fewer bytes than anything needs: the server says so.
  expect(await aicm('admin', 'limits', 'set', 'ada', 'memory=1k')).toMatchObject(refused(2, 'memory'))
  expect(await jsonOf('admin', 'limits', 'show', 'ada')).toMatchObject({ changes: {} })
})

test("a workspace is confined by its owner's name for it, another's by its id, list by list", async () => {
  const { id } = await (await server.client({ token: tokens.ada })).workspaces.create({ name: 'adas' })
  await (await server.client()).workspaces.create({ name: 'mine' })
  expect(await aicm('admin', 'workspaces', 'confine', 'adas')).toMatchObject(refused(1, 'workspace_not_found'))
  expect(await aicm('ada', 'workspaces', 'confine', id)).toMatchObject(refused(1, 'server.manage'))
  const set = (...args: string[]) => jsonOf('admin', 'workspaces', 'confine', ...args)
  expect(await set(id, '--allow-tool', 'Read', 'Bash(git log:*)', '--mount', '/usr')).toEqual({
    ...{ readOnlyMounts: ['/usr'], allowedTools: ['Read', 'Bash(git log:*)'], disallowedTools: [] },
  })
  expect(await set(id, '--deny-tool', 'WebFetch')).toEqual({
    ...{ readOnlyMounts: ['/usr'], allowedTools: ['Read', 'Bash(git log:*)'], disallowedTools: ['WebFetch'] },
  })
  expect((await aicm('admin', 'workspaces', 'confine', id)).stdout).toMatch(/unasked +Read, Bash\(git log:\*\)\n/)
  expect(await set(id, '--clear', '--deny-tool', 'Bash')).toEqual({
    ...{ readOnlyMounts: [], allowedTools: [], disallowedTools: ['Bash'] },
  })
  expect((await aicm('admin', 'workspaces', 'confine', 'mine')).stdout).toMatch(/may read besides +none\n/)
  expect(await aicm('admin', 'workspaces', 'confine', 'mine', '--mount', server.dataDir)).toMatchObject(
    refused(2, 'invalid_request'),
  )
})

test('sessions that have a process are listed with what they take', async () => {
  expect(await aicm('ada', 'sessions', 'top')).toMatchObject({ code: 0, stdout: '' })
  const client = await server.client({ token: tokens.ada })
  const { id } = await client.sessions.create({ name: 'busy' })
  for await (const _ of client.session(id).execute('@text(done)'));
  const top = await tableOf('ada', 'sessions', 'top')
  expect(top.ID).toEqual(['STATUS', 'MEMORY', 'AT MOST', 'CPU TIME', 'TASKS', 'NAME'])
  expect(top[id]).toEqual([
    ...['idle', expect.stringMatching(/^[1-9][\d.]*[kmg]$/), '1g', expect.stringMatching(/^\d+\.\d s$/)],
    ...[expect.stringMatching(/^[1-9]\d*$/), 'busy'],
  ])
  expect(await jsonOf('ada', 'sessions', 'top')).toMatchObject([{ id, resources: { limits: { memory: 2 ** 30 } } }])
  await client.session(id).close()
  expect(await aicm('ada', 'sessions', 'top')).toMatchObject({
    ...{ code: 0, stdout: '', stderr: expect.stringContaining('No session has a process') },
  })
})
