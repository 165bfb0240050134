import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import { routes, type AuditEntry, type Tokens, type User } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { freePort } from '@aicm/testing/run-server'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { oidcSettings, openBrowser, startProvider, type ScriptedBrowser, type TestProvider } from './lib/oidc.ts'

const test = requires('linux')
const secret = 'canary-client-secret-canary-client-secret'
let issuer: string
let server: TestServer
let provider: TestProvider
let client: Client
let whileDown: { output: string; sentTo: URL }

beforeAll(async () => {
  const port = await freePort()
  issuer = `http://127.0.0.1:${port}`
  server = await startTestServer({ claude: 'fake', ...oidcSettings(port, secret) })
  // Nothing listens at the issuer yet.
  await until('the server says that the provider is down', () => server.output().includes('Log-in by OpenID'))
  whileDown = { output: server.output(), sentTo: await openBrowser().sentTo(`${server.url}${routes.oidc.start.path}`) }
  const redirectUri = `${server.url}${routes.oidc.callback.path}`
  provider = await startProvider({ port, client: { id: 'aicm', secret, redirectUri } })
  client = await server.client()
})
afterAll(async () => {
  await server?.stop()
  await provider?.[Symbol.asyncDispose]()
})

const atProvider = (browser: ScriptedBrowser, next = '/sessions'): Promise<URL> =>
  browser.sentTo(`${server.url}${routes.oidc.start.path}?next=${encodeURIComponent(next)}`)
/** The address by which the provider hands the browser back, not opened yet. */
const handedBack = async (browser: ScriptedBrowser): Promise<URL> =>
  browser.followTo(server.url, await atProvider(browser))

const fragment = (page: URL, name: string): string => new URLSearchParams(page.hash.slice(1)).get(name) ?? ''

const finish = async (browser: ScriptedBrowser, code: string) => {
  const response = await browser.fetch(`${server.url}${routes.oidc.finish.path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code }),
  })
  return { status: response.status, body: (await response.json()) as unknown }
}

const me = async ({ accessToken }: Tokens): Promise<User> =>
  (await send(`${server.url}/v1/auth/me`, 'GET', { token: accessToken })).body as User

const logIn = async (person: TestProvider['person']): Promise<Tokens & { user: User }> => {
  provider.person = person
  const browser = openBrowser()
  const page = await browser.sentTo(await handedBack(browser))
  const { status, body } = await finish(browser, fragment(page, 'oidc'))
  expect(status, page.href).toBe(200)
  return { ...(body as Tokens), user: await me(body as Tokens) }
}

const lastCallback = async (): Promise<AuditEntry | undefined> =>
  (await client.call(routes.audit.list, { query: { limit: 2000, action: 'oidc.callback' } })).entries.at(-1)

let reasonsSeen = 0
/** From the log, for the audit log only counts what is repeated. */
const newReason = (): Promise<string> =>
  until('the reason is in the log', () => {
    const lines = readFileSync(join(server.dataDir, 'server.log'), 'utf8').split('\n')
    const reasons = lines.filter((line) => line.includes('a log-in by OpenID did not succeed'))
    if (reasons.length === reasonsSeen) return undefined
    reasonsSeen = reasons.length
    return (JSON.parse(reasons.at(-1) ?? '') as { reason: string }).reason
  })

/** The page is told a code of the table, the operator the reason. */
const expectRefused = async (page: URL, code: string, reason: RegExp): Promise<void> => {
  expect(page.origin + page.pathname).toBe(`${server.url}/login`)
  expect(page.hash).toBe(`#oidc-error=${code}`)
  expect(await newReason()).toMatch(reason)
}

test('while the provider is down the server starts and says so, and people may log in when it is back', async () => {
  expect(whileDown.output).toContain('Log-in by OpenID does not work yet: The OpenID provider could not be reached')
  expect(whileDown.sentTo.href).toBe(`${server.url}/login#oidc-error=oidc_unavailable`)
  expect(await client.call(routes.oidc.status, {})).toEqual({ enabled: true, name: new URL(issuer).host, url: null })
  await logIn({ sub: 'early', groups: ['dev'] })
})

test('who is in a group logs in, by a code in a fragment, and is recorded', async () => {
  provider.person = { sub: 'u-1', preferred_username: 'grace', groups: ['dev', 'other'] }
  const browser = openBrowser()
  const there = await atProvider(browser, '/sessions/ses_1?q=a')
  expect(there.origin).toBe(issuer)
  expect(Object.fromEntries(there.searchParams)).toMatchObject({
    ...{ response_type: 'code', code_challenge_method: 'S256', scope: 'openid profile email' },
    ...{ state: expect.stringMatching(/.{32}/), nonce: expect.stringMatching(/.{32}/) },
  })
  const page = await browser.sentTo(await browser.followTo(server.url, there))
  expect(page.searchParams.get('next')).toBe('/sessions/ses_1?q=a')
  const { status, body } = await finish(browser, fragment(page, 'oidc'))
  expect(status).toBe(200)
  expect(body).toMatchObject({ username: 'grace', tokenType: 'Bearer' })
  const user = await me(body as Tokens)
  expect(user).toMatchObject({ username: 'grace', role: 'member' })
  expect(await lastCallback()).toMatchObject({
    ...{ result: 'ok', userId: user.id, username: 'grace', target: user.id },
    detail: { role: 'member', created: true },
  })
  const { entries } = await client.call(routes.audit.list, { query: { limit: 2000, action: 'oidc.finish' } })
  expect(entries.at(-1)).toMatchObject({ result: 'ok', userId: user.id })
})

test('the cookie is for this log-in only, and no script reads it', async () => {
  const { headers } = await openBrowser().fetch(`${server.url}${routes.oidc.start.path}`)
  expect(headers.getSetCookie()).toEqual([
    expect.stringMatching(/^aicm_oidc=[\w-]{32}; Path=\/v1\/auth\/oidc; Max-Age=600; HttpOnly; SameSite=Lax$/),
  ])
})

test('the same user comes back as the same, whatever the name is by then; the role follows the groups', async () => {
  const first = await logIn({ sub: 'u-2', preferred_username: 'linus', groups: ['dev'] })
  const second = await logIn({ sub: 'u-2', preferred_username: 'renamed', groups: ['dev', 'ops'] })
  expect(second.user).toEqual({ ...first.user, role: 'admin' })
  expect(await lastCallback()).toMatchObject({
    target: first.user.id,
    detail: { role: 'admin', roleBefore: 'member', created: false },
  })
  const third = await logIn({ sub: 'u-2', groups: ['dev'] })
  expect(third.user).toEqual(first.user)
  expect((await lastCallback())?.detail).toEqual({ role: 'member', roleBefore: 'admin', created: false })
  await logIn({ sub: 'u-2', groups: ['dev'] })
  expect((await lastCallback())?.detail).toEqual({ role: 'member', created: false })
  // Held at once by the logins that there are.
  expect(await me(second)).toEqual(first.user)
})

test('who is in no mapped group is refused, a new user and one who was in before', async () => {
  await logIn({ sub: 'u-3', groups: ['dev'] })
  for (const person of [{ sub: 'u-3', groups: ['other'] }, { sub: 'u-new' }, { sub: 'u-star', groups: ['*'] }]) {
    provider.person = person
    const browser = openBrowser()
    await expectRefused(await browser.sentTo(await handedBack(browser)), 'oidc_no_role', /in no group/)
  }
})

describe('nobody takes over a local account', () => {
  test('a user of the provider with its name gets another one', async () => {
    const token = await server.addUser('ada')
    const { id } = await me({ accessToken: token } as Tokens)
    const { user } = await logIn({ sub: 'u-4', preferred_username: 'ADA', groups: ['dev'] })
    expect(user).toMatchObject({ username: 'ADA-2', role: 'member' })
    expect(user.id).not.toBe(id)
    expect((await logIn({ sub: 'u-5', preferred_username: 'admin', groups: ['dev'] })).user).toMatchObject({
      ...{ username: 'admin-2', role: 'member' },
    })
  })

  test('a name that is no user name becomes one', async () => {
    const { user } = await logIn({ sub: 'u-6', preferred_username: '../<Žofie> Ř', groups: ['dev'] })
    expect(user.username).toBe('Zofie-R')
  })
})

test('a user of the provider has no password, and gets none', async () => {
  const { user } = await logIn({ sub: 'u-7', preferred_username: 'barbara', groups: ['dev'] })
  for (const password of ['x', server.password])
    expectRefusal(
      await send(`${server.url}/v1/auth/login`, 'POST', { body: { username: user.username, password } }),
      'invalid_credentials',
    )
  await expect(
    client.call(routes.users.update, { params: { id: user.id }, body: { resetPassword: true } }),
  ).rejects.toMatchObject({ code: 'invalid_request' })
})

test('a disabled user stays out, at the callback and between it and the tokens', async () => {
  const person = { sub: 'u-8', groups: ['dev'] }
  const { user } = await logIn(person)
  const disable = (disabled: boolean) =>
    client.call(routes.users.update, { params: { id: user.id }, body: { disabled } })
  provider.person = person
  const browser = openBrowser()
  const page = await browser.sentTo(await handedBack(browser))
  await disable(true)
  expectRefusal(await finish(browser, fragment(page, 'oidc')), 'account_disabled')
  const again = openBrowser()
  await expectRefused(await again.sentTo(await handedBack(again)), 'account_disabled', /disabled/)
})

describe('an answer that does not belong to the log-in is refused', () => {
  beforeAll(() => {
    provider.person = { sub: 'u-9', groups: ['dev'] }
  })

  test('another state, and none', async () => {
    for (const state of ['guessed', '']) {
      const browser = openBrowser()
      const back = await handedBack(browser)
      back.searchParams.set('state', state)
      await expectRefused(await browser.sentTo(back), 'oidc_failed', /No log-in that was started/)
      expect(await lastCallback()).toMatchObject({
        ...{ result: 'refused', code: 'oidc_failed', userId: null, address: '127.0.0.1' },
        detail: { reason: expect.stringMatching(/No log-in that was started/) },
      })
    }
  })

  test('another nonce', async () => {
    const browser = openBrowser()
    const there = await atProvider(browser)
    there.searchParams.set('nonce', 'another-nonce')
    const page = await browser.sentTo(await browser.followTo(server.url, there))
    await expectRefused(page, 'oidc_failed', /not accepted/)
  })

  test("another browser's, with a cookie of its own or without", async () => {
    const other = openBrowser()
    await atProvider(other)
    for (const thief of [other, openBrowser()]) {
      const back = await handedBack(openBrowser())
      await expectRefused(await thief.sentTo(back), 'oidc_failed', /Another browser/)
    }
  })

  test('the same a second time', async () => {
    const browser = openBrowser()
    const back = await handedBack(browser)
    expect((await browser.sentTo(back)).hash).toMatch(/^#oidc=/)
    await expectRefused(await browser.sentTo(back), 'oidc_failed', /over already/)
  })

  test("another log-in's code of the provider", async () => {
    const stolen = (await handedBack(openBrowser())).searchParams.get('code') ?? ''
    const browser = openBrowser()
    const back = await handedBack(browser)
    back.searchParams.set('code', stolen)
    await expectRefused(await browser.sentTo(back), 'oidc_failed', /invalid_grant/)
  })

  test("another issuer's, and one that does not say whose it is", async () => {
    for (const change of [
      (url: URL) => url.searchParams.set('iss', 'https://evil.example'),
      (url: URL) => url.searchParams.delete('iss'),
    ]) {
      const browser = openBrowser()
      const back = await handedBack(browser)
      change(back)
      await expectRefused(await browser.sentTo(back), 'oidc_failed', /not accepted/)
    }
  })

  test("the provider's refusal", async () => {
    const browser = openBrowser()
    const back = await handedBack(browser)
    back.searchParams.delete('code')
    back.searchParams.set('error', 'access_denied')
    back.searchParams.set('error_description', 'words from outside')
    await expectRefused(await browser.sentTo(back), 'oidc_failed', /^(?!.*words).*access_denied/)
  })
})

test('a code for the page works once, and in the browser that started the log-in only', async () => {
  provider.person = { sub: 'u-10', groups: ['dev'] }
  const browser = openBrowser()
  const codeFor = async (): Promise<string> => fragment(await browser.sentTo(await handedBack(browser)), 'oidc')
  const taken = await codeFor()
  expectRefusal(await finish(openBrowser(), taken), 'invalid_oidc_code')
  expectRefusal(await finish(browser, taken), 'invalid_oidc_code')
  const code = await codeFor()
  expect((await finish(browser, code)).status).toBe(200)
  expectRefusal(await finish(browser, code), 'invalid_oidc_code')
})

test('there is no way on to another site', async () => {
  for (const next of [
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    'evil',
    '/\t/evil.example',
    '/a\\b',
  ]) {
    const url = `${server.url}${routes.oidc.start.path}?next=${encodeURIComponent(next)}`
    expectRefusal(await send(url, 'GET'), 'invalid_request')
  }
})

test('the secret and the codes stand in no log', async () => {
  const page = await client.call(routes.audit.list, { query: { limit: 2000 } })
  expect(JSON.stringify(page)).not.toContain(secret)
  expect(JSON.stringify(page)).toContain('oidcIssuer')
})

test('without an issuer there is no such log-in', async () => {
  await using plain = await startTestServer({ claude: 'fake' })
  expect((await send(`${plain.url}${routes.oidc.status.path}`, 'GET')).body).toEqual({
    ...{ enabled: false, name: null, url: null },
  })
  for (const { path } of [routes.oidc.start, routes.oidc.callback])
    expectRefusal(await send(`${plain.url}${path}`, 'GET'), 'not_found')
  expectRefusal(await send(`${plain.url}${routes.oidc.finish.path}`, 'POST', { body: { code: 'x' } }), 'not_found')
})
