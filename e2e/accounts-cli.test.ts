import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { routes } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterEach, beforeEach, expect } from 'vitest'
import { aicmEnv, aicmPath, startAicm } from './lib/aicm.ts'
import { openTerminal } from './lib/terminal.ts'

const test = requires('linux')
let dir: string
let server: TestServer

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-accounts-'))
  server = await startTestServer({ claude: 'fake' })
  const { code, stderr } = await login('admin', server.password)
  expect(code, stderr).toBe(0)
})
afterEach(async () => {
  await server?.stop()
  rmSync(dir, { recursive: true, force: true })
})

const homeOf = (who: string): string => {
  const home = join(dir, who)
  mkdirSync(home, { recursive: true })
  return home
}
const aicm = (who: string, args: string[], options?: Parameters<typeof startAicm>[3]) =>
  startAicm(server, homeOf(who), args, options).ended
const login = (who: string, password: string) =>
  aicm(who, ['login', '-u', who, '--password-stdin'], { input: `${password}\n` })

type Account = { accessToken: string; refreshToken: string; expiresAt: number }
const configPath = (who: string): string => join(homeOf(who), '.config', 'aicm', 'config.json')
const readAccount = (who: string): Account | undefined =>
  (JSON.parse(readFileSync(configPath(who), 'utf8')) as { accounts: Record<string, Account> }).accounts[server.url]
/** As it is fifteen minutes later. */
const expire = (who: string, changes: Partial<Account>): void => {
  const config = JSON.parse(readFileSync(configPath(who), 'utf8')) as { accounts: Record<string, Account> }
  Object.assign(config.accounts[server.url] ?? {}, changes)
  writeFileSync(configPath(who), JSON.stringify(config))
}

test('a login whose access token has expired goes on, for ten commands at once, and after a lock that a dead one left', async () => {
  for (const changes of [{ expiresAt: 0 }, { accessToken: 'refused' }]) {
    const before = readAccount('admin')
    expire('admin', changes)
    writeFileSync(`${configPath('admin')}.lock`, '999999999')
    const runs = await Promise.all(Array.from({ length: 10 }, () => aicm('admin', ['sessions', 'ls'])))
    for (const { code, stderr } of runs) expect([code, stderr]).toEqual([0, expect.stringContaining('No sessions')])
    expect(readAccount('admin')?.refreshToken).not.toBe(before?.refreshToken)
    expect(statSync(configPath('admin')).mode & 0o777).toBe(0o600)
  }
  expect(await aicm('admin', ['sessions', 'ls'])).toMatchObject({ code: 0 })
})

test('aicm logout ends the login here and on the server', async () => {
  const account = readAccount('admin')
  expect(await aicm('admin', ['logout'])).toMatchObject({ code: 0, stdout: `Logged out of ${server.url}.\n` })
  expect(readAccount('admin')).toBeUndefined()
  expect(await aicm('admin', ['sessions'])).toMatchObject({ code: 3, stderr: expect.stringContaining('aicm login') })
  expect(await aicm('admin', ['sessions', '--token', account?.accessToken ?? ''])).toMatchObject({ code: 3 })
})

test('aicm logins lists where one is logged in, and ends a login from afar', async () => {
  expect(await aicm('a phone', ['login', '--password-stdin'], { input: server.password })).toMatchObject({ code: 0 })
  const list = async () => {
    const { code, stdout } = await aicm('admin', ['--json', 'logins'])
    expect(code).toBe(0)
    return JSON.parse(stdout) as { id: string; current: boolean }[]
  }
  const logins = await list()
  expect(logins.map(({ current }) => current)).toEqual([false, true])
  expect((await aicm('admin', ['logins', 'ls'])).stdout).toMatch(
    /^ID +SINCE +REFRESHED +EXPIRES +PROGRAM\n.*\n.*this one/,
  )
  const phone = logins[0]?.id ?? ''
  expect(await aicm('admin', ['logins', 'rm', phone])).toMatchObject({ code: 0, stdout: `Ended ${phone}.\n` })
  expect(await aicm('a phone', ['sessions'])).toMatchObject({ code: 3, stderr: expect.stringContaining('aicm login') })
  expect(await list()).toHaveLength(1)
  expect(await aicm('admin', ['logins', 'rm', phone])).toMatchObject({
    ...{ code: 1, stderr: expect.stringContaining('aicm logins ls') },
  })
  expect(await aicm('admin', ['logins', 'rm', logins[1]?.id ?? ''])).toMatchObject({ code: 0 })
  expect(await aicm('admin', ['logins'])).toMatchObject({ code: 3 })
})

test('an administrator adds, changes and removes users, who change their password', async () => {
  const added = await aicm('admin', ['users', 'add', 'ada', '--role', 'viewer'])
  expect(added).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^Added ada \(viewer, must change password\)\.\nOne-time/),
  })
  const password = /One-time password: (\S+)/.exec(added.stdout)?.[1] ?? ''
  expect((await aicm('admin', ['users'])).stdout).toMatch(/ada +viewer +must change password/)
  expect(await login('ada', password)).toMatchObject({
    ...{ code: 1, stdout: '', stderr: expect.stringContaining('aicm passwd --stdin') },
  })
  expect(await aicm('ada', ['sessions'])).toMatchObject({
    ...{ code: 1, stderr: expect.stringMatching(/password_change_required.*\nrun: aicm passwd/) },
  })
  const next = 'long enough for ada'
  expect(await aicm('ada', ['passwd', '--stdin'], { input: `${password}\n${next}\n` })).toMatchObject({ code: 0 })
  expect(await aicm('ada', ['passwd', '--stdin'], { input: 'one line\n' })).toMatchObject({ code: 2 })
  expect(await aicm('ada', ['passwd', '--stdin'], { input: `${next}\nshort\n` })).toMatchObject({ code: 2 })
  expect(await aicm('ada', ['sessions'])).toMatchObject({ code: 0 })
  expect(await login('ada', password)).toMatchObject({ code: 3 })
  expect(await login('ada', next)).toMatchObject({ code: 0 })
  expect(await aicm('ada', ['users'])).toMatchObject({ code: 1, stderr: expect.stringContaining('users.manage') })

  expect(await aicm('admin', ['users', 'set', 'ADA', '--role', 'member'])).toMatchObject({
    code: 0,
    stdout: 'Changed ada (member, active).\n',
  })
  expect(JSON.parse((await aicm('admin', ['users', '--json'])).stdout)).toMatchObject([
    { username: 'admin', role: 'admin' },
    { username: 'ada', role: 'member', disabled: false },
  ])
  expect(await aicm('admin', ['users', 'set', 'ada', '--disable'])).toMatchObject({ code: 0 })
  expect(await login('ada', next)).toMatchObject({ code: 1, stderr: expect.stringContaining('disabled') })
  expect(await aicm('admin', ['users', 'set', 'ada'])).toMatchObject({ code: 2 })
  expect(await aicm('admin', ['users', 'rm', 'admin'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('last administrator'),
  })
  const removed = await aicm('admin', ['users', 'rm', 'ada'])
  expect(removed).toMatchObject({ code: 0, stdout: expect.stringContaining('aicm users rm --purge usr_') })
  expect(await aicm('admin', ['users', 'rm', 'ada'])).toMatchObject({ code: 1, stderr: expect.stringContaining('ls') })
  expect((await aicm('admin', ['users'])).stdout).not.toContain('ada')
})

requires('linux', 'tmux')('in a terminal a log-in with a one-time password asks for an own one, unseen', async () => {
  const [password, next] = ['set by an administrator', 'long enough for bob']
  const client = await server.client()
  await client.call(routes.users.create, { body: { username: 'bob', password } })
  using terminal = openTerminal(
    dir,
    [process.execPath, aicmPath, 'login', '-u', 'bob'],
    aicmEnv(homeOf('bob'), { AICM_SERVER: server.url }),
  )
  const answer = async (question: string, text: string): Promise<void> => {
    await terminal.shows(question)
    terminal.type(text)
    terminal.press('Enter')
  }
  await answer('Password of bob', password)
  await answer('New password', next)
  await answer('Again:', next)
  await terminal.shows('exit code 0')
  expect(terminal.screen()).toContain(`Logged in to ${server.url} as bob.`)
  for (const secret of [password, next]) expect(terminal.screen()).not.toContain(secret)
  expect(await aicm('bob', ['sessions'])).toMatchObject({ code: 0 })
  expect(await login('bob', next)).toMatchObject({ code: 0 })
})

test('an API key is made, used by a program, listed and deleted', async () => {
  const made = await aicm('admin', ['keys', 'create', 'ci', '--allow', 'sessions.read', '--days', '3'])
  const key = made.stdout.trim()
  expect(key).toMatch(/^aicm_/)
  const env = { AICM_TOKEN: key }
  expect(await aicm('a program', ['sessions'], { env })).toMatchObject({ code: 0 })
  expect(await aicm('a program', ['run', 'x'], { env })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('sessions.write'),
  })
  expect(await aicm('admin', ['keys', 'create', 'x', '--allow', 'everything'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('sessions.read'),
  })
  expect((await aicm('admin', ['keys'])).stdout).toContain(`${key.slice(0, 13)}…`)
  expect(await aicm('admin', ['keys', 'rm', 'ci'])).toMatchObject({ code: 0 })
  expect(await aicm('a program', ['sessions'], { env })).toMatchObject({ code: 3 })
})

test('a session is shared with a user, listed, and taken back', async () => {
  await server.addUser('ada')
  expect(await login('ada', server.password)).toMatchObject({ code: 0 })
  const client = await server.client()
  const { id } = await client.sessions.create({ name: 'Common' })
  expect(await aicm('admin', ['share', id, 'ada', '--drive'])).toMatchObject({ code: 0, stdout: `ada drives ${id}.\n` })
  expect((await aicm('admin', ['share', id])).stdout).toMatch(/ada +driver/)
  expect((await aicm('ada', ['sessions'])).stdout).toContain('Common')
  expect((await aicm('ada', ['run', '-s', id, '@text(hello)'])).stdout).toContain('hello')
  expect(await aicm('admin', ['share', id, 'nobody'])).toMatchObject({ code: 1 })
  expect(await aicm('admin', ['share', id, '--stop'])).toMatchObject({ code: 2 })
  expect(await aicm('admin', ['share', id, 'ada', '--stop'])).toMatchObject({ code: 0 })
  expect(await aicm('ada', ['sessions'])).toMatchObject({ stdout: '', stderr: expect.stringContaining('No sessions') })
})
