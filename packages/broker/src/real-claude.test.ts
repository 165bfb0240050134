import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { scriptedApi } from './demo/scripted-api.ts'
import { tokensText } from './demo/directives.ts'
import { live, testBroker } from './testing.ts'

const findClaude = (): string | null => {
  try {
    return join(
      dirname(createRequire(import.meta.url).resolve('@anthropic-ai/claude-code-linux-x64/package.json')),
      'claude',
    )
  } catch (error) {
    if (process.env.AICM_FORBID_SKIPS !== undefined) throw error
    return null
  }
}
const claude = findClaude()
/** Where it may, the CLI gets a network of its own that leads nowhere: the socket must be enough. */
const [program = '', ...programArgs] = [
  ...(spawnSync('unshare', ['-n', 'true']).status === 0 ? ['unshare', '-n'] : []),
  claude ?? '',
]

type Line = { type: string; [field: string]: unknown }

const run = async ({
  socket,
  token,
  prompt,
  args = [],
}: {
  socket: string
  token: string
  prompt: string
  args?: string[]
}) => {
  const root = mkdtempSync(join(tmpdir(), 'aicm-claude-'))
  const [home, cwd, tmp] = ['home', 'work', 'tmp'].map((name) => join(root, name))
  for (const dir of [home, cwd, tmp]) mkdirSync(dir ?? '')
  const child = spawn(
    program,
    [
      ...programArgs,
      '-p',
      '--output-format',
      'stream-json',
      '--verbose',
      '--include-partial-messages',
      ...args,
      '--',
      prompt,
    ],
    {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: home,
        TMPDIR: tmp,
        ANTHROPIC_UNIX_SOCKET: socket,
        ANTHROPIC_BASE_URL: 'http://localhost',
        ANTHROPIC_API_KEY: token,
        CLAUDE_CODE_MAX_RETRIES: '2',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        DISABLE_AUTOUPDATER: '1',
        DISABLE_TELEMETRY: '1',
        DISABLE_ERROR_REPORTING: '1',
      },
    },
  )
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    child.exitCode ?? once(child, 'exit'),
  ])
  if (stdout === '') throw new Error(`claude said nothing: ${stderr}`)
  const lines = stdout
    .trim()
    .split('\n')
    .map((line): Line => JSON.parse(line))
  const result = lines.find(({ type }) => type === 'result')
  const streamed = [...stdout.matchAll(/"type":"text_delta","text":("(?:[^"\\]|\\.)*")/g)]
    .map(([, json]) => JSON.parse(json ?? '""'))
    .join('')
  return { lines, result, streamed, cwd: cwd ?? '' }
}

const limit = 60_000

test.skipIf(claude === null)('the real CLI streams an answer of the demo', { timeout: limit }, async () => {
  await using broker = await testBroker({ mode: 'demo' })
  const { result, streamed } = await run({ ...broker, prompt: 'hello' })
  expect(result).toMatchObject({
    is_error: false,
    terminal_reason: 'completed',
    result: expect.stringContaining('demo API'),
  })
  expect(streamed.trim()).toBe(String(result?.result).trim())
})

test.skipIf(claude === null)(
  'the real CLI reaches an upstream through the broker, which alone has the credential',
  { timeout: limit },
  async () => {
    const api = scriptedApi()
    await using upstream = await api.listen()
    await using broker = await testBroker(
      live(upstream.url, { kind: 'oauth-token', value: 'sk-real' }, { userId: 'usr_1' }),
    )
    const { result, streamed } = await run({ ...broker, prompt: '@tokens(500)' })
    expect(result).toMatchObject({ is_error: false, result: tokensText(500) })
    expect(streamed).toBe(tokensText(500))
    expect(api.calls.length).toBeGreaterThan(0)
    for (const { headers, hasSystemPrompt } of api.calls) {
      expect(headers).toMatchObject({
        apiKey: null,
        authorization: 'Bearer sk-real',
        beta: expect.stringContaining('oauth-2025-04-20'),
      })
      expect(hasSystemPrompt).toBe(true)
    }
  },
)

test.skipIf(claude === null)(
  'the real CLI writes the file that the demo was asked for',
  { timeout: limit },
  async () => {
    await using broker = await testBroker({ mode: 'demo' })
    const { result, cwd } = await run({
      ...broker,
      prompt: 'Create a file notes.md',
      args: ['--permission-mode', 'acceptEdits'],
    })
    expect(result).toMatchObject({ is_error: false, result: expect.stringContaining('Done: `notes.md`') })
    expect(readFileSync(join(cwd, 'notes.md'), 'utf8')).toContain('# Demo')
  },
)

test.skipIf(claude === null)(
  'the real CLI runs a command and its result comes back to the script',
  { timeout: limit },
  async () => {
    const api = scriptedApi()
    await using upstream = await api.listen()
    await using broker = await testBroker(live(upstream.url))
    const prompt = '@text(first) @bash(echo $((40 + 2))) @text(last)'
    const { result } = await run({ ...broker, prompt, args: ['--allowed-tools', 'Bash'] })
    expect(result).toMatchObject({ is_error: false, result: 'last' })
    expect(api.calls.at(-1)).toMatchObject({ lastUserText: prompt, toolResults: [{ text: '42', isError: false }] })
  },
)

test.skipIf(claude === null)(
  'an overloaded API is retried by the real CLI, then reported',
  { timeout: limit },
  async () => {
    await using broker = await testBroker({ mode: 'demo' })
    const { lines, result } = await run({ ...broker, prompt: 'error 529' })
    expect(lines.filter(({ subtype }) => subtype === 'api_retry')).toMatchObject([
      { error_status: 529 },
      { error_status: 529 },
    ])
    expect(result).toMatchObject({ is_error: true, terminal_reason: 'api_error', api_error_status: 529 })
  },
)

test.skipIf(claude === null)(
  'after a stream that breaks off the real CLI ends with the whole text',
  { timeout: limit },
  async () => {
    const api = scriptedApi()
    await using upstream = await api.listen()
    await using broker = await testBroker(live(upstream.url))
    const { lines, result } = await run({ ...broker, prompt: '@reset(5) @text( end)' })
    expect(result).toMatchObject({ is_error: false })
    const said = lines
      .filter(({ type }) => type === 'assistant')
      .map((line) => JSON.stringify(line))
      .join('')
    expect(said).toContain('"tok0 tok1 tok2 tok3 tok4"')
    expect(said).toContain('" end"')
  },
)
