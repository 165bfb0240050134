import { AxeBuilder } from '@axe-core/playwright'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect } from 'vitest'
import { tokensText } from '@aicm/broker'
import { chromiumPath, requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'

const test = requires('chromium', 'claude')

const quiet = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

let server: TestServer
let browser: Browser

beforeAll(async () => {
  server = await startTestServer()
  browser = await chromium.launch({ executablePath: chromiumPath() ?? '', args: quiet })
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await server?.stop()
})

/** A page of its own, and all that it did which it must not: errors, and requests to other origins. */
const openPage = async (): Promise<{ page: Page; faults: string[] }> => {
  const context = await browser.newContext()
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`))
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url())
    if (protocol !== 'data:' && protocol !== 'blob:' && origin !== server.url) faults.push(`request to ${origin}`)
  })
  page.on('console', (message) => {
    if (message.type() === 'error' && !/status of 401/.test(message.text())) faults.push(`console: ${message.text()}`)
  })
  await page.goto(server.url)
  return { page, faults }
}

const logIn = async (page: Page, password: string): Promise<void> => {
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
}

const newSession = async (page: Page, name: string): Promise<void> => {
  await page.getByRole('button', { name: 'New session' }).first().click()
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill(name)
  await page.getByRole('button', { name: 'Create session' }).click()
  await page.getByRole('heading', { name }).waitFor()
}

const send = async (page: Page, prompt: string): Promise<void> => {
  await page.getByRole('textbox', { name: 'Prompt' }).fill(prompt)
  await page.keyboard.press('Enter')
}

test('a wrong password is told, a right one opens the sessions, and the demo is named', async () => {
  const { page, faults } = await openPage()
  await logIn(page, 'wrong')
  await page.getByRole('alert').getByText('wrong').waitFor()
  await logIn(page, server.password)
  await page.getByRole('heading', { name: 'Sessions' }).waitFor()
  await page.getByRole('complementary', { name: 'Demo mode' }).getByText('scripted').waitFor()
  expect(faults).toEqual([])
  await page.context().close()
})

test('an answer grows in the page, and a reload shows the same conversation', async () => {
  const { page, faults } = await openPage()
  await logIn(page, server.password)
  await newSession(page, 'growing')
  await send(page, '@tokens(60,40)')
  const conversation = page.getByRole('log', { name: 'Conversation' })
  await conversation.getByText('tok3').waitFor()
  // It has begun and not ended: it is growing.
  expect(await conversation.textContent()).not.toContain('tok59')
  await conversation.getByText(tokensText(60)).waitFor()
  await page.getByRole('button', { name: 'Interrupt' }).waitFor({ state: 'hidden' })
  await page.reload()
  await conversation.getByText(tokensText(60)).waitFor()
  expect((await conversation.textContent())?.split('tok59')).toHaveLength(2)
  expect(faults).toEqual([])
  const found = await new AxeBuilder({ page }).analyze()
  expect(found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([])
  await page.context().close()
})

test('a permission request is answered in the page, and a running turn is interrupted', async () => {
  const { page, faults } = await openPage()
  await logIn(page, server.password)
  await newSession(page, 'asking')
  await send(page, '@write(hello.txt|hello from the page) @text(written)')
  const request = page.getByRole('group', { name: 'Claude asks to use Write' })
  await request.getByText('hello from the page').waitFor()
  await request.getByRole('button', { name: 'Allow', exact: true }).click()
  await page.getByRole('log', { name: 'Conversation' }).getByText('written').waitFor()
  await send(page, '@tokens(500,40)')
  await page.getByRole('log', { name: 'Conversation' }).getByText('tok5').waitFor()
  await page.getByRole('button', { name: 'Interrupt' }).click()
  await page.getByText('Interrupted').first().waitFor()
  expect(faults).toEqual([])
  await page.context().close()
})

test('the page finds its way back by itself after the server was killed in the middle of a turn', async () => {
  const { page } = await openPage()
  await logIn(page, server.password)
  await newSession(page, 'surviving')
  await send(page, '@tokens(100,40)')
  const conversation = page.getByRole('log', { name: 'Conversation' })
  await conversation.getByText('tok3').waitFor()
  await server.kill9()
  await page.getByText('Reconnecting').waitFor()
  await server.restart()
  await conversation.getByText(tokensText(100)).waitFor()
  await page.getByRole('button', { name: 'Interrupt' }).waitFor({ state: 'hidden' })
  await page.context().close()
})

test('the API reference is shown under the same strict policy', async () => {
  const { page, faults } = await openPage()
  await page.goto(`${server.url}/docs`)
  await page.getByText('/v1/sessions/{id}/execute').waitFor()
  expect(faults).toEqual([])
  await page.context().close()
})
