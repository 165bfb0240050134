import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { routes } from '@aicm/protocol'
import { freePort } from '@aicm/testing/run-server'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest'
import { startAicm, type Run } from './lib/aicm.ts'
import { expectRefusal, send } from './lib/http.ts'
import { openBrowser, startServerWithProvider, type ScriptedBrowser, type TestProvider } from './lib/oidc.ts'

const test = requires('linux')
let dir: string
let running: AsyncDisposable
let server: TestServer
let provider: TestProvider
let home: string
let homes = 0

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-oidc-cli-'))
  const started = await startServerWithProvider()
  ;({ server, provider } = started)
  running = started
})
afterAll(async () => {
  await running?.[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})
beforeEach(() => {
  home = join(dir, `${homes++}`)
  mkdirSync(home)
})

const logIn = (args: string[] = ['--no-browser'], env: Record<string, string> = {}): Run =>
  startAicm(server, home, ['login', '--oidc', ...args], { env })
const printedBy = (run: Run): Promise<URL> =>
  until('the address is printed', () => {
    const found = /http:\S+oidc\/start\S+/.exec(run.stderr())?.[0]
    return found === undefined ? undefined : new URL(found)
  })
const configPath = (): string => join(home, '.config', 'aicm', 'config.json')

/** The page that asks whether the command line shall be logged in, and where its link leads. */
const agreement = async (browser: ScriptedBrowser, start: URL) => {
  const page = await browser.sentTo(await browser.followTo(server.url, await browser.sentTo(start)))
  const given = new URLSearchParams(page.hash.slice(1))
  const back = new URL(`http://127.0.0.1:${given.get('port')}/`)
  for (const name of ['code', 'state']) back.searchParams.set(name, given.get(name) ?? '')
  return { page, back, code: given.get('code') ?? '' }
}
const finish = (body: { code: string; verifier?: string }, browser = openBrowser()) =>
  browser
    .fetch(`${server.url}${routes.oidc.finish.path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    .then(async (response) => ({ status: response.status, body: (await response.json()) as unknown }))

test('the browser brings the command line a code, which logs it in for good', async () => {
  provider.person = { sub: 'c-1', preferred_username: 'grace', groups: ['dev'] }
  const run = logIn()
  const { page, back } = await agreement(openBrowser(), await printedBy(run))
  expect(page.origin + page.pathname).toBe(`${server.url}/login/cli`)
  // Others may knock at the port: it has to be who was sent by this log-in.
  for (const other of ['/', '/?code=x', '/?error=oidc_failed&state=x', '/favicon.ico'])
    expect((await fetch(new URL(other, back))).status).toBe(404)
  expect((await fetch(back)).status).toBe(200)
  expect(await run.ended).toMatchObject({ code: 0, stdout: `Logged in to ${server.url} as grace.\n` })
  expect(statSync(configPath()).mode & 0o777).toBe(0o600)
  await expect(fetch(back)).rejects.toThrow()

  const account = JSON.parse(readFileSync(configPath(), 'utf8')) as { accounts: Record<string, object> }
  Object.assign(account.accounts[server.url] ?? {}, { expiresAt: 0 })
  writeFileSync(configPath(), JSON.stringify(account))
  expect(await startAicm(server, home, ['sessions']).ended).toMatchObject({ code: 0 })
  expect(await startAicm(server, home, ['logout']).ended).toMatchObject({ code: 0 })
})

test('it opens the address in a browser', async () => {
  const bin = join(home, 'bin')
  mkdirSync(bin)
  writeFileSync(
    join(bin, 'xdg-open'),
    `#!/bin/sh\necho "$1" > '${join(home, 'half')}'\nmv '${join(home, 'half')}' '${join(home, 'opened')}'\n`,
  )
  chmodSync(join(bin, 'xdg-open'), 0o755)
  const run = logIn([], { PATH: `${bin}:${dirname(process.execPath)}:/usr/bin:/bin` })
  const start = await printedBy(run)
  const opened = await until('a browser is opened', () => {
    try {
      return readFileSync(join(home, 'opened'), 'utf8')
    } catch {
      return undefined
    }
  })
  expect(opened.trim()).toBe(start.href)
  await fetch((await agreement(openBrowser(), start)).back)
  expect(await run.ended).toMatchObject({ code: 0 })
})

describe('a code that was stolen on its way is of no use', () => {
  const challenge = createHash('sha256').update('v'.repeat(43)).digest('base64url')
  const codeOf = async (browser = openBrowser()): Promise<string> => {
    provider.person = { sub: 'c-2', groups: ['dev'] }
    const start = new URL(`${server.url}${routes.oidc.start.path}?port=4000&challenge=${challenge}`)
    return (await agreement(browser, start)).code
  }

  test('without the verifier, with another one, and in the very browser', async () => {
    const browser = openBrowser()
    expectRefusal(await finish({ code: await codeOf(browser) }, browser), 'invalid_oidc_code')
    for (const verifier of ['w'.repeat(43), challenge]) {
      const code = await codeOf()
      expectRefusal(await finish({ code, verifier }), 'invalid_oidc_code')
      // It was used up by that.
      expectRefusal(await finish({ code, verifier: 'v'.repeat(43) }), 'invalid_oidc_code')
    }
  })

  test('a second time', async () => {
    const given = { code: await codeOf(), verifier: 'v'.repeat(43) }
    expect((await finish(given)).status).toBe(200)
    expectRefusal(await finish(given), 'invalid_oidc_code')
  })

  test('by a log-in that somebody else has started, at the command line of a victim', async () => {
    const run = logIn()
    const start = await printedBy(run)
    const state = start.searchParams.get('challenge') ?? ''
    await fetch(`http://127.0.0.1:${start.searchParams.get('port')}/?code=${await codeOf()}&state=${state}`)
    expect(await run.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('invalid_oidc_code') })
  })
})

test('the code goes to a port of loopback and nowhere else', async () => {
  const challenge = 'c'.repeat(43)
  for (const query of [
    'port=4000',
    `challenge=${challenge}`,
    `port=0&challenge=${challenge}`,
    `port=65536&challenge=${challenge}`,
    `port=80@evil.example&challenge=${challenge}`,
    `port=4000&challenge=${challenge}x`,
    `port=4000&challenge=${challenge}&redirect_uri=https://evil.example`,
  ])
    expectRefusal(await send(`${server.url}${routes.oidc.start.path}?${query}`, 'GET'), 'invalid_request')
})

test("the server's refusal, and the provider's, are told at the command line", async () => {
  provider.person = { sub: 'c-3', groups: ['other'] }
  const run = logIn()
  const browser = openBrowser()
  const start = await printedBy(run)
  const back = await browser.sentTo(await browser.followTo(server.url, await browser.sentTo(start)))
  expect([back.hostname, back.port]).toEqual(['127.0.0.1', start.searchParams.get('port')])
  expect((await browser.fetch(back)).status).toBe(200)
  expect(await run.ended).toMatchObject({
    ...{
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/did not succeed.*oidc_no_role.*\n.*group that may log in/s),
    },
  })

  const denied = logIn()
  const callback = await browser.followTo(server.url, await browser.sentTo(await printedBy(denied)))
  callback.searchParams.delete('code')
  callback.searchParams.set('error', 'access_denied')
  await browser.fetch(await browser.sentTo(callback))
  expect(await denied.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('oidc_failed') })
})

test('it ends with Ctrl-C, and after the time that it was given', async () => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const run = logIn()
    await printedBy(run)
    run.child.kill(signal)
    expect(await run.ended).toMatchObject({ code, stderr: expect.stringContaining('Interrupted.') })
  }
  expect(await logIn(['--no-browser', '--timeout', '1']).ended).toMatchObject({
    ...{ code: 1, stderr: expect.stringMatching(/Nobody has logged in within 1 seconds/) },
  })
})

test('a server does not choose what is opened here, nor paint on the terminal', async () => {
  const told = { enabled: true, name: '\u001b[31mred', url: '' }
  const rogue = createServer((_, response) => response.end(JSON.stringify(told))).listen(0, '127.0.0.1')
  await once(rogue, 'listening')
  const url = `http://127.0.0.1:${(rogue.address() as AddressInfo).port}`
  for (told.url of ['file:///etc/passwd', '--help', 'javascript:alert(1)//', ''])
    expect(await startAicm({ url }, home, ['login', '--oidc', '--no-browser']).ended).toMatchObject({
      ...{ code: 3, stderr: expect.stringContaining('unexpected_answer') },
    })
  told.url = url
  const { stderr } = await startAicm({ url }, home, ['login', '--oidc', '--no-browser', '--timeout', '1']).ended
  expect(stderr).toContain('log in by red,')
  rogue.close()
})

test('what does not go together is refused', async () => {
  for (const args of [['--password-stdin'], ['-u', 'ada'], ['--timeout', '0']])
    expect(await logIn(args).ended).toMatchObject({ code: 2 })
})

test('without a provider, and with one that is down, it says so', async () => {
  await using plain = await startTestServer({ claude: 'fake' })
  expect(await startAicm(plain, home, ['login', '--oidc', '--no-browser']).ended).toMatchObject({
    ...{ code: 1, stderr: expect.stringMatching(/no log-in by an OpenID provider.*\n.*aicm login -u/s) },
  })
  const issuer = `http://127.0.0.1:${await freePort()}`
  const url = 'https://aicm.example.org'
  await using down = await startTestServer({
    claude: 'fake',
    args: ['--oidc-issuer', issuer, '--oidc-client-id', 'aicm', '--oidc-role', '*=viewer', '--oidc-url', url],
  })
  const run = startAicm(down, home, ['login', '--oidc', '--no-browser'])
  const start = await until('the address is printed', () => /https:\S+start\S+/.exec(run.stderr())?.[0])
  // A browser has to begin where the provider sends it back to.
  expect(start).toMatch(new RegExp(`^${url}/`))
  await fetch(start.replace(url, down.url))
  expect(await run.ended).toMatchObject({ code: 1, stderr: expect.stringContaining('oidc_unavailable') })
})
