import { AxeBuilder } from '@axe-core/playwright'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { requires } from '@aicm/testing/requires'
import type { TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { type Browser, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { openBrowser } from './lib/browser.ts'
import { startServerWithProvider, type TestProvider } from './lib/oidc.ts'
import { ensurePage } from './lib/page.ts'

const test = requires('linux', 'chromium')
let home: string
let running: AsyncDisposable
let server: TestServer
let provider: TestProvider
let browser: Browser | undefined
let page: Page

beforeAll(async () => {
  ensurePage()
  home = mkdtempSync(join(tmpdir(), 'aicm-oidc-page-'))
  const started = await startServerWithProvider()
  ;({ server, provider } = started)
  running = started
  browser = await openBrowser()
})
afterAll(async () => {
  await browser?.close()
  await running?.[Symbol.asyncDispose]()
  rmSync(home, { recursive: true, force: true })
})
beforeEach(async () => {
  if (browser === undefined) throw new Error('no browser')
  page = await (await browser.newContext()).newPage()
  page.setDefaultTimeout(60_000)
})
afterEach(() => page.context().close())

const sessionsShown = (): Promise<void> => page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
const expectAccessible = async (): Promise<void> =>
  expect((await new AxeBuilder({ page }).analyze()).violations).toEqual([])
/** At the provider, which wants to know only the first time. */
const go = () => page.getByRole('button', { name: 'Continue' }).click()
const button = () => page.getByRole('link', { name: 'Log in with 127.0.0.1:' })

test('the second button leads by the provider to where one wanted to go, and leaves no code behind', async () => {
  provider.person = { sub: 'b-1', preferred_username: 'grace', groups: ['dev'] }
  await page.goto(`${server.url}/approvals`)
  await button().waitFor()
  await expectAccessible()
  await button().click()
  await go()
  await page.getByRole('heading', { name: 'Approvals', exact: true }).waitFor()
  expect(page.url()).toBe(`${server.url}/approvals`)
  await page.reload()
  await page.getByRole('button', { name: 'User menu' }).click()
  await page.getByText('grace').first().waitFor()
  expect(await page.getByRole('menuitem').allInnerTexts()).toEqual(['Log out'])
  await page.getByRole('menuitem', { name: 'Log out' }).click()
  // Back at the provider nobody is asked again.
  await button().click()
  await page.getByRole('button', { name: 'User menu' }).waitFor()
  await page.goto(`${server.url}/change-password`)
  await page.getByText('You have no password here').waitFor()
  await expectAccessible()
})

test('who may not in is told so, and may try again as somebody else', async () => {
  provider.person = { sub: 'b-2', groups: ['other'] }
  await page.goto(server.url)
  await button().click()
  await go()
  await page.getByRole('alert').getByText('The log-in did not succeed.').waitFor()
  expect(await page.getByRole('alert').innerText()).toContain('a group that may log in here')
  expect(page.url()).toBe(`${server.url}/login`)
  await page.context().clearCookies()
  provider.person = { sub: 'b-3', groups: ['dev'] }
  await button().click()
  await go()
  await sessionsShown()
})

test('the command line is logged in when whoever sits before the browser agrees', async () => {
  provider.person = { sub: 'b-4', preferred_username: 'barbara', groups: ['dev'] }
  const run = startAicm(server, home, ['login', '--oidc', '--no-browser'])
  const address = await until('the address is printed', () => /http:\S+start\S+/.exec(run.stderr())?.[0])
  await page.goto(address)
  await go()
  await page.getByRole('heading', { name: 'Log in the command line?' }).waitFor()
  await expectAccessible()
  expect(page.url()).toBe(`${server.url}/login/cli`)
  expect(run.stdout()).toBe('')
  await page.getByRole('link', { name: 'Log in the command line' }).click()
  await page.getByText('You can close this page.').waitFor()
  expect(await run.ended).toMatchObject({ code: 0, stdout: `Logged in to ${server.url} as barbara.\n` })
  expect(await startAicm(server, home, ['sessions']).ended).toMatchObject({ code: 0 })
})
