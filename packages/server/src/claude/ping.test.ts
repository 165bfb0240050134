import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { scriptedApi } from '@aicm/broker'
import { installFakeClaude } from '@aicm/testing/fake-claude'
import { recordings } from '@aicm/testing/recordings'
import { claudePath, requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect, test } from 'vitest'
import { claudeArgv } from './argv.ts'
import { createDecoder } from './decode.ts'
import { encode, type AgentCommand } from './encode.ts'
import type { AgentOutput } from './output.ts'

/** What is said in answer to these commands, each given when the one before was answered by an output that `until` wants. */
const talk = async (
  program: string,
  dir: string,
  apiUrl: string,
  steps: { say: AgentCommand; until: (output: AgentOutput) => boolean }[],
): Promise<AgentOutput[]> => {
  const home = join(dir, 'home')
  await mkdir(home)
  const settings = { model: null, permissionMode: 'default', systemPrompt: null, maxTurns: null } as const
  const child = spawn(program, claudeArgv(settings, { create: crypto.randomUUID() }), {
    cwd: home,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      ...{ PATH: '/usr/bin:/bin', HOME: home, TMPDIR: dir, ANTHROPIC_BASE_URL: apiUrl, ANTHROPIC_API_KEY: 'none' },
      ...{ CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1', DISABLE_TELEMETRY: '1' },
      ...{ DISABLE_ERROR_REPORTING: '1' },
    },
  })
  const exited = once(child, 'exit')
  const decoder = createDecoder({ generation: 1 })
  const outputs: AgentOutput[] = []
  let step = 0
  const say = (): void => {
    const next = steps[step]
    if (next === undefined) child.stdin.end()
    else child.stdin.write(encode(next.say))
  }
  say()
  let start = 0
  for await (const text of createInterface({ input: child.stdout })) {
    const said = decoder.decode({ kind: 'whole', text, start })
    start += Buffer.byteLength(text) + 1
    outputs.push(...said)
    const wanted = steps[step]
    if (wanted !== undefined && said.some(wanted.until)) {
      step++
      say()
    }
  }
  await exited
  return outputs
}

const pong = (requestId: string) => (output: AgentOutput) => output.kind === 'pong' && output.requestId === requestId
const prompt: AgentCommand = {
  kind: 'prompt',
  turnId: '5f0c1d7e-0000-4000-8000-000000000001',
  content: [{ type: 'text', text: '@text(hello)' }],
}
const steps = [
  { say: { kind: 'initialize' } as const, until: ({ kind }: AgentOutput) => kind === 'ready' },
  { say: { kind: 'ping', requestId: '1' } as const, until: pong('1') },
  { say: prompt, until: ({ kind }: AgentOutput) => kind === 'result' },
  { say: { kind: 'ping', requestId: '2' } as const, until: pong('2') },
]

const expectAlive = (outputs: AgentOutput[]): void => {
  expect(outputs.filter(({ kind }) => kind === 'pong')).toEqual([
    { kind: 'pong', requestId: '1' },
    { kind: 'pong', requestId: '2' },
  ])
  // Nothing else becomes of a ping: no user shall read of it.
  expect(outputs.some((output) => output.kind === 'message' && output.draft.type === 'system')).toBe(false)
  expect(outputs.find(({ kind }) => kind === 'result')).toMatchObject({ result: { outcome: 'success' } })
}

requires('claude')(
  'the real claude answers pings before and after a turn, and asks the API nothing for them',
  async () => {
    await using dir = await tempDir()
    const api = scriptedApi()
    await using upstream = await api.listen()
    const outputs = await talk(claudePath() ?? '', dir.path, upstream.url, steps)
    expectAlive(outputs)
    const asked = api.calls.length
    await using other = await tempDir()
    await talk(claudePath() ?? '', other.path, upstream.url, steps.slice(0, 2))
    expect(api.calls.length).toBe(asked)
  },
)

test('one that does not know what it is asked is alive too', async () => {
  await using dir = await tempDir()
  expectAlive(await talk(installFakeClaude(dir.path), dir.path, 'http://127.0.0.1:1', steps))
})

test('an answer to something else is no pong, in the recordings neither', () => {
  const decodeAll = (text: string): AgentOutput[] => {
    const decoder = createDecoder({ generation: 1 })
    return text.split('\n').flatMap((line, start) => decoder.decode({ kind: 'whole', text: line, start }))
  }
  for (const text of recordings().values()) expect(decodeAll(text).filter(({ kind }) => kind === 'pong')).toEqual([])
  const answer = (response: unknown): AgentOutput[] => decodeAll(JSON.stringify({ type: 'control_response', response }))
  expect(answer({ subtype: 'success', request_id: 'aicm-ping-7', response: {} })).toEqual([
    { kind: 'pong', requestId: '7' },
  ])
  expect(answer({ subtype: 'success', request_id: 'aicm-interrupt-7', response: {} })).toEqual([])
  expect(answer({ subtype: 'error', error: 'aicm-ping-7' })).toMatchObject([{ kind: 'message' }])
})
