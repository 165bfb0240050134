import { AxeBuilder } from '@axe-core/playwright'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import { createClient, login, type Client } from '@aicm/client'
import { routes } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { type Browser, type BrowserContext, type Locator, type Page, type Response } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { openBrowser } from './lib/browser.ts'
import { lesserHosts } from './lib/lesser-hosts.ts'
import { ensurePage } from './lib/page.ts'
import { expectSame } from './lib/turns.ts'

const test = requires('claude', 'linux', 'chromium')
let server: TestServer
let client: Client
let browser: Browser | undefined
let context: BrowserContext
let page: Page
let complaints: string[]

beforeAll(async () => {
  ensurePage()
  server = await startTestServer()
  client = await server.client()
  browser = await openBrowser()
})
afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

beforeEach(async () => {
  if (browser === undefined) throw new Error('no browser')
  context = await browser.newContext()
  // A browser is slow to start on a slow machine that does other things too.
  context.setDefaultTimeout(60_000)
  page = await context.newPage()
  complaints = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url())
    if (!['data:', 'blob:'].includes(protocol) && origin !== server.url)
      complaints.push(`a request to ${request.url()}`)
  })
})
afterEach(async () => {
  await context.close()
  // The browser tells of each refused request by itself; whether one may be refused is the test's affair.
  expect(complaints.filter((text) => !text.startsWith('Failed to load resource'))).toEqual([])
})

const logIn = async (password = server.password, username = 'admin', path = ''): Promise<void> => {
  await page.goto(server.url + path)
  await page.getByLabel('User name').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
}

const newSession = async (name: string): Promise<void> => {
  await page.getByRole('button', { name: 'New session' }).click()
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill(name)
  await page.getByRole('button', { name: 'Create session' }).click()
  await page.getByRole('heading', { name, level: 2 }).waitFor()
}

const prompt = (): Locator => page.getByRole('textbox', { name: 'Prompt' })
const conversation = (): Locator => page.getByRole('log', { name: 'Conversation' })
const sendPrompt = async (text: string): Promise<void> => {
  await prompt().fill(text)
  await prompt().press('Enter')
}
/** The streamed words of the last turn, without what stands around them. */
const tokensShown = async (): Promise<string> =>
  ((await page.getByRole('article', { name: 'Turn' }).last().innerText()).match(/tok\d+/g) ?? []).join(' ')

test('a wrong password is said, and the right one leads in, past the banner that says it is a demo', async () => {
  await logIn('wrong')
  await page.getByRole('alert').getByText('The user name or the password is wrong.').waitFor()
  await page.getByLabel('Password').fill(server.password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
  const banner = page.getByRole('complementary', { name: 'Demo mode' })
  await banner.waitFor()
  expect(await banner.innerText()).toMatch(/Demo:.*scripted.*not from the model/i)
  expect(await page.evaluate(() => document.cookie)).toBe('')
})

test('who logs in with a password that somebody else has set chooses one, and is then where they wanted to be', async () => {
  const [given, own] = ['given by an administrator', 'known to nobody else']
  await client.call(routes.users.create, { body: { username: 'ada', password: given } })
  await logIn(given, 'ada', '/approvals')
  const form = page.getByRole('button', { name: 'Change the password' })
  await form.waitFor()
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations).toEqual([])
  // There is no way around it.
  await page.goto(`${server.url}/approvals`)
  await page.getByLabel('Current password').fill('wrong')
  await page.getByLabel('New password', { exact: true }).fill(own)
  await page.getByLabel('New password again').fill('something else')
  await page.getByText('This is not the same.').waitFor()
  await page.getByLabel('New password again').fill(own)
  await form.click()
  await page.getByRole('alert').getByText('The current password is wrong.').waitFor()
  await page.getByLabel('Current password').fill(given)
  await form.click()
  await page.getByRole('heading', { name: 'Approvals', exact: true }).waitFor()
  expect(new URL(page.url()).pathname).toBe('/approvals')

  await page.evaluate(() => localStorage.clear())
  await logIn(own, 'ada')
  await page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
})

test('with the keyboard alone a password is changed by choice: this log-in goes on, the others end', async () => {
  const [given, own] = ['chosen some time ago', 'chosen just now']
  const eve = { username: 'eve', password: given }
  await client.call(routes.users.create, { body: { ...eve, mustChangePassword: false } })
  const elsewhere = await login({ url: server.url, ...eve })
  await logIn(given, eve.username)
  const menu = page.getByRole('button', { name: 'User menu' })
  await menu.press('Enter')
  const item = page.getByRole('menuitem', { name: 'Change password' })
  await until('the first item of the menu has the focus', () =>
    item.evaluate((element) => element === document.activeElement),
  )
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Change password', exact: true }).waitFor()
  const fields = ['Current password', 'New password', 'New password again']
  const focused = (label: string) =>
    until(`${label} has the focus`, () =>
      page.getByLabel(label, { exact: true }).evaluate((element) => element === document.activeElement),
    )
  for (const label of fields) {
    await focused(label)
    await page.keyboard.type(label === fields[0] ? 'wrong' : own)
    await page.keyboard.press('Tab')
  }
  await page.keyboard.press('Enter')
  await page.getByRole('alert').getByText('The current password is wrong.').waitFor()
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([])
  await page.getByLabel('Current password').fill(given)
  await page.keyboard.press('Enter')
  await page.getByText('Your password is changed.').waitFor()
  await page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
  await page.reload()
  await menu.waitFor()
  await using other = createClient({ url: server.url, token: elsewhere.accessToken })
  await expect(other.call(routes.auth.me, {})).rejects.toMatchObject({ code: 'unauthorized' })
  expect(await login({ url: server.url, username: eve.username, password: own })).toHaveProperty('accessToken')
})

for (const locks of ['with', 'without'] as const)
  test(`tabs share a login, and refresh it one at a time, ${locks} locks of the browser`, async () => {
    if (locks === 'without')
      await context.addInitScript(() => Object.defineProperty(navigator, 'locks', { value: undefined }))
    await logIn()
    await page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
    const stored = () => page.evaluate(() => localStorage.getItem('aicm.login') ?? '')
    let refreshes = 0
    let refused = 0
    await context.route('**/v1/auth/refresh', async (route) => {
      refreshes++
      const response = await route.fetch()
      if (response.status() !== 200) refused++
      await route.fulfill({ response })
    })
    const tabs = [page, await context.newPage(), await context.newPage()]
    // Nothing of the page runs here: it could refresh the login just before it is left, and lose the answer with that.
    await page.goto(`${server.url}/healthz`)
    await page.evaluate(() => {
      const login = JSON.parse(localStorage.getItem('aicm.login') ?? '{}') as Record<string, unknown>
      localStorage.setItem('aicm.login', JSON.stringify({ ...login, expiresAt: 0, accessToken: 'refused' }))
    })
    const isAnswer = (response: Response) =>
      response.ok() && new URL(response.url()).pathname === routes.sessions.list.path
    await Promise.all(
      tabs.map((tab) => Promise.all([tab.waitForResponse(isAnswer), tab.goto(`${server.url}/sessions`)])),
    )
    for (const tab of tabs) await tab.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
    await until('one of the tabs has refreshed the login', async () => !(await stored()).includes('refused'))
    // Before the log-out: a tab that has not heard of it may ask for new tokens, and is refused.
    expect([refreshes, refused]).toEqual([1, 0])
    // A log-out is one in all tabs.
    await page.getByRole('button', { name: 'User menu' }).click()
    await page.getByRole('menuitem', { name: 'Log out' }).click()
    for (const tab of tabs) await tab.getByRole('button', { name: 'Log in' }).waitFor()
    expect(await stored()).toBe('')
  })

test('what is wrong with the server is shown on every page until it is noted, and again when it is something else', async () => {
  let reasons = ['The disk of the data folder is full.', 'Something else.']
  await page.route('**/v1/health', async (route) => {
    const response = await route.fetch()
    await route.fulfill({ response, json: { ...(await response.json()), status: 'degraded', reasons } })
  })
  await logIn()
  const banner = page.getByRole('complementary', { name: 'Server health' })
  await banner.getByText('The disk of the data folder is full.').waitFor()
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations).toEqual([])
  await banner.getByRole('link', { name: '1 more' }).click()
  await page.getByRole('heading', { name: 'Health', exact: true }).waitFor()
  await page.getByRole('region', { name: 'Machine' }).getByText('available').first().waitFor()
  await banner.getByRole('button', { name: 'Hide' }).click()
  await banner.waitFor({ state: 'detached' })
  reasons = ['The broker is down.']
  await page.reload()
  await banner.getByText('The broker is down.').waitFor()
})

requires(
  'claude',
  'bwrap',
  'root',
  'chromium',
)('the page shows which level works, what is missing for the one that is wanted, and how to get it', async () => {
  await using lesser = await startTestServer({ claude: 'fake', inside: lesserHosts.noNetworkNamespaces })
  const { isolation } = await (await lesser.client()).health()
  const [sealed] = isolation.missing
  // A page of another server: what it asks that one for is right.
  const other = await (await browser?.newContext())?.newPage()
  if (other === undefined) throw new Error('no browser')
  await other.goto(`${lesser.url}/health`)
  await other.getByLabel('User name').fill('admin')
  await other.getByLabel('Password').fill(lesser.password)
  await other.getByRole('button', { name: 'Log in' }).click()
  const shown = other.getByRole('region', { name: 'Isolation' })
  await shown.getByText('sandbox, not sealed').waitFor()
  const text = await shown.innerText()
  expect(sealed).toMatchObject({ part: 'sealed', fix: expect.stringContaining('max_net_namespaces') })
  for (const said of [sealed?.error, sealed?.fix, 'one for all users']) expect(text).toContain(said)
  await other.context().close()
})

test('an answer grows while it streams, is whole in the end, and the same after a reload in its middle', async () => {
  await logIn()
  await newSession('Streaming')
  await sendPrompt('@tokens(500,8)')
  const seen: number[] = []
  while (seen.length < 5) {
    const { length } = await until('more is shown', async () => {
      const text = await tokensShown()
      return text.length > (seen.at(-1) ?? 0) && text
    })
    seen.push(length)
  }
  expect(seen.at(0)).toBeLessThan(tokensText(500).length)

  await page.reload()
  await conversation().getByText('tok0 tok1').waitFor()
  expect((await tokensShown()).length).toBeGreaterThanOrEqual(seen.at(-1) ?? 0)
  await until('the answer is whole', async () => (await tokensShown()) === tokensText(500))
  await page.getByRole('button', { name: 'Send' }).waitFor()

  await page.reload()
  await until('it is there again', async () => (await tokensShown()) !== '')
  expectSame(await tokensShown(), tokensText(500))
  const { violations } = await new AxeBuilder({ page }).analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([])
})

test('a tool asks in the page, and runs once it is allowed there', async () => {
  await logIn()
  await newSession('Approving')
  await sendPrompt('@write(from-page.txt|allowed in the page) @text(It is written.)')
  const card = page.getByRole('group').filter({ hasText: 'Claude asks to use Write' })
  await card.waitFor()
  expect(await card.innerText()).toContain('from-page.txt')
  const session = (await client.sessions.list({ text: 'Approving' })).sessions[0]
  const { path } = await client.workspaces.get(session?.workspaceId ?? '')
  expect(existsSync(join(path, 'from-page.txt'))).toBe(false)
  await card.getByRole('button', { name: 'Allow', exact: true }).click()
  await conversation().getByText('It is written.', { exact: true }).waitFor()
  expect(readFileSync(join(path, 'from-page.txt'), 'utf8')).toBe('allowed in the page')
  expect(await page.getByRole('button', { name: 'Allow', exact: true }).count()).toBe(0)
})

test('an answer can be interrupted, and the next prompt is answered', async () => {
  await logIn()
  await newSession('Interrupting')
  await sendPrompt('@tokens(100000,5)')
  await conversation().getByText('tok20').waitFor()
  await page.getByRole('button', { name: 'Interrupt', exact: true }).click()
  await conversation()
    .getByText(/interrupted/i)
    .first()
    .waitFor()
  await page.getByRole('button', { name: 'Send' }).waitFor()
  await sendPrompt('@text(And on it goes.)')
  await conversation().getByText('And on it goes.', { exact: true }).waitFor()
})

test('a page that is open through kill -9 of the server shows the whole answer without a reload', async () => {
  await logIn()
  await newSession('Surviving')
  await sendPrompt('@tokens(400,10)')
  await conversation().getByText('tok30').waitFor()
  await server.kill9()
  await page.getByText('Reconnecting').first().waitFor()
  await server.restart()
  await until('the answer is whole', async () => (await tokensShown()) === tokensText(400))
  await page.getByRole('button', { name: 'Send' }).waitFor()
  complaints = complaints.filter((text) => !/WebSocket connection to .* failed/.test(text))
})

test('what the model says and what a file is called is text, never a page of its own', async () => {
  await logIn()
  await newSession('<img src=x onerror=alert(1)>')
  let alerts = 0
  page.on('dialog', (dialog) => {
    alerts += 1
    void dialog.dismiss()
  })
  await sendPrompt(
    '@text(before <script>alert\\(1\\)</script> <img src=x onerror=alert\\(1\\)> [link]\\(javascript:alert\\(1\\)\\) <iframe src="https://evil.example"></iframe> ![i]\\(https://evil.example/x.png\\) after)',
  )
  await until('it is answered', async () => (await client.sessions.list({ text: '<img' })).sessions[0]?.turns === 1)
  await page
    .getByRole('article', { name: 'Turn' })
    .getByRole('link', { name: 'link' })
    .or(conversation().getByText(/^before/))
    .first()
    .waitFor()
  expect(await conversation().locator('script, iframe, img[onerror], a[href^="javascript:"]').count()).toBe(0)
  expect(alerts).toBe(0)
})

test('the reference at /docs opens without a complaint', async () => {
  await page.goto(`${server.url}/docs`)
  await page.getByText('/v1/sessions/{id}/execute').first().waitFor()
})
