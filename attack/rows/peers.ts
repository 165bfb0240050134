import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { tokensText } from '@aicm/broker'
import type { StreamItem } from '@aicm/protocol'
import { debianPython } from '@aicm/testing/requires'
import { until } from '@aicm/testing/until'
import { openBrowser } from '../../e2e/lib/browser.ts'
import { openPage } from '../lib/browser.ts'
import { newKey, upgradeLines } from '../lib/frames.ts'
import type { Row, Try } from '../lib/row.ts'
import type { Target } from '../lib/target.ts'

const run = promisify(execFile)
const peerProgram = fileURLToPath(new URL('../programs/peer.py', import.meta.url))
const tokens = 300
const prompt = `@tokens(${tokens},1)`
const whole = tokensText(tokens)
const plainEnv = { PATH: '/usr/bin:/bin', HOME: '/nonexistent', LANG: 'C.UTF-8' }

const seenOf = (text: string): string => (text === whole ? 'the whole text' : `${text.length} characters`)

const python = async ({ url, bob }: Target, attempt: Try): Promise<void> => {
  const { stdout } = await run(debianPython, [peerProgram, url, bob.username, bob.password, prompt], { env: plainEnv })
  const { text, grown } = JSON.parse(stdout) as { text: string; grown: string }
  attempt('python3-websockets: the messages', 'the whole text', seenOf(text))
  attempt('python3-websockets: the deltas', 'the whole text', seenOf(grown))
}

const curl = (...args: string[]): Promise<{ stdout: string }> =>
  run('curl', ['--silent', '--no-buffer', '--max-time', '60', ...args], { env: plainEnv, maxBuffer: 2 ** 26 })

const itemsOf = (stream: string): StreamItem[] =>
  stream
    .split('\n\n')
    .flatMap((event) => /^data: (.*)$/m.exec(event)?.[1] ?? [])
    .map((data) => JSON.parse(data) as StreamItem)

const byCurl = async ({ url, bob }: Target, attempt: Try, versions: readonly string[]): Promise<void> => {
  const json = ['-H', 'content-type: application/json']
  const login = JSON.stringify({ username: bob.username, password: bob.password })
  const { stdout: answer } = await curl(...json, '-d', login, `${url}/v1/auth/login`)
  const { accessToken } = JSON.parse(answer) as { accessToken: string }
  const bearer = ['-H', `authorization: Bearer ${accessToken}`]
  const body = ['-d', JSON.stringify({ prompt })]
  for (const version of versions) {
    const sse = ['-H', 'accept: text/event-stream']
    const { stdout } = await curl(version, ...json, ...bearer, ...sse, ...body, `${url}/v1/execute`)
    const texts = itemsOf(stdout).map((item) => (item.type === 'text' ? item.text : ''))
    attempt(`curl ${version}: server-sent events`, 'the whole text', seenOf(texts.join('')))
  }
  const { stdout: once } = await curl(...json, ...bearer, ...body, `${url}/v1/execute`)
  const { complete } = JSON.parse(once) as { complete: { text: string } }
  attempt('curl: one answer', 'the whole text', seenOf(complete.text))

  // Where curl speaks WebSocket it shakes hands itself; else it is told what to say, and shows the first frame.
  const { stdout: features } = await run('curl', ['--version'], { env: plainEnv })
  const own = /^Protocols:.*\bws\b/m.test(features)
  const [, ...headers] = upgradeLines(url, accessToken, { 'sec-websocket-key': newKey() })
  const asked = own
    ? [...bearer, `${url.replace('http', 'ws')}/v1/ws`]
    : ['--http1.1', ...headers.flatMap((header) => ['-H', header]), `${url}/v1/ws`]
  const said = await curl('--max-time', '1', ...asked).then(
    ({ stdout }) => stdout,
    // It goes on listening until its time is over.
    (error: { stdout?: string }) => error.stdout ?? '',
  )
  attempt('curl: the first WebSocket frame', 'hello', said.includes('"type":"hello"') ? 'hello' : said.slice(0, 80))
}

const byChromium = async (target: Target, attempt: Try): Promise<void> => {
  await using browser = await openBrowser()
  const page = await openPage(browser, target, target.bob)
  await page.getByRole('button', { name: 'New session' }).click()
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('Chromium')
  await page.getByRole('button', { name: 'Create session' }).click()
  await page.getByRole('heading', { name: 'Chromium', level: 2 }).waitFor()
  const field = page.getByRole('textbox', { name: 'Prompt' })
  await field.fill(prompt)
  await field.press('Enter')
  const shown = async () =>
    ((await page.getByRole('article', { name: 'Turn' }).last().innerText()).match(/tok\d+/g) ?? []).join(' ')
  await page.getByText(`tok${tokens - 1}`).waitFor()
  const text = await until('all is shown', async () => {
    const now = await shown()
    return now.length >= whole.length && now
  })
  attempt('chromium: the page', 'the whole text', seenOf(text))

  // The API without our library: what a page of somebody's own would write.
  const raw = await page.evaluate(
    async ({ username, password, prompt }) => {
      const call = async (path: string, body: unknown, token = '') =>
        (
          await fetch(path, {
            method: 'POST',
            headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
            body: JSON.stringify(body),
          })
        ).json()
      const { accessToken } = await call('/v1/auth/login', { username, password })
      const { id } = await call('/v1/sessions', {}, accessToken)
      const { ticket } = await call('/v1/auth/ticket', {}, accessToken)
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/ws?ticket=${ticket}`)
      await new Promise((resolve) => socket.addEventListener('open', resolve))
      socket.send(JSON.stringify({ type: 'subscribe', ref: 's', sessionId: id }))
      socket.send(JSON.stringify({ type: 'execute', ref: 'e', sessionId: id, prompt }))
      return new Promise<string>((resolve) => {
        let text = ''
        socket.addEventListener('message', ({ data }) => {
          for (const item of JSON.parse(data).items ?? []) {
            if (item.type === 'text') text += item.text
            if (item.type === 'complete') resolve(text)
          }
        })
      })
    },
    { username: target.bob.username, password: target.bob.password, prompt },
  )
  attempt('chromium: its own WebSocket, with a ticket', 'the whole text', seenOf(raw))
}

export const peers: Row = {
  name: 'peers',
  title: 'foreign clients, each logging in, prompting and reading: python3-websockets, curl, chromium',
  expected: 'the whole text',
  run: async (attack, attempt) => {
    const target = await attack.shared()
    await python(target, attempt)
    await byCurl(target, attempt, attack.size === 'test' ? ['--http2'] : ['--http1.1', '--http2', '--http1.0'])
    await byChromium(target, attempt)
  },
}
