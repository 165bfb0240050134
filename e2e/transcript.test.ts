import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { allGone, startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { claudeArgv } from '../packages/server/src/claude/argv.ts'
import { encode } from '../packages/server/src/claude/encode.ts'
import { claudeEnvironment } from '../packages/server/src/claude/environment.ts'
import { mendTranscript } from '../packages/server/src/claude/transcript-repair.ts'
import { systemPath } from '../packages/server/src/lib/system-path.ts'
import { firstItem, pendingApproval } from './lib/turns.ts'

/** What a power cut leaves of claude's own files, and how the real claude gets along with it. */

const test = requires('claude', 'linux')
let server: TestServer
let client: Client

beforeAll(async () => {
  server = await startTestServer()
  client = await server.client()
})
afterAll(() => server?.stop())

/** So long that the API's count of what it was sent tells whether the turn was in it. */
const long = (text: string): string => `@text(${text}) ${'words '.repeat(4000)}`
const longTokens = 4000

const open = async () => {
  const { id, workspaceId } = await client.sessions.create()
  const session = client.session(id)
  const { path: workspace } = await client.workspaces.get(workspaceId)
  const home = join(server.dataDir, 'users', (await client.me()).id, 'home')
  const projects = join(home, '.claude', 'projects')
  return {
    ...{ id, session, home, workspace },
    /** Its folder and name. */
    transcript: (): { folder: string; name: string } => {
      const folder = join(projects, workspace.replaceAll(/[^a-zA-Z0-9]/g, '-'))
      const name = readdirSync(folder).find((entry) => entry.endsWith('.jsonl'))
      if (name === undefined) throw new Error(`no transcript in ${folder}`)
      return { folder, name }
    },
    killClaude: async () => {
      const { lastSeq } = await session.info()
      const pids = server.sessionProcesses(id).all.map(({ pid }) => pid)
      kill(await until('claude runs', () => server.sessionProcesses(id).claude), 'SIGKILL')
      await allGone(pids)
      await firstItem(session, (item) => item.type === 'progress' && item.kind === 'process_ended', lastSeq - 1)
    },
    /** What the API counted of one prompt. */
    inputOf: async (prompt: string): Promise<number> => {
      const before = (await session.info()).usage.inputTokens
      expect(await session.execute(prompt).complete()).toMatchObject({ result: 'success' })
      return (await session.info()).usage.inputTokens - before
    },
  }
}

test('a session whose transcript is gone when it wakes says so, and answers all the same', async () => {
  const { session, killClaude, transcript, inputOf } = await open()
  await inputOf('@text(one)')
  await killClaude()
  const { folder, name } = transcript()
  rmSync(join(folder, name))
  expect(await session.execute('@text(two)').complete()).toMatchObject({ result: 'success', text: 'two' })
  await firstItem(session, (item) => item.type === 'progress' && item.kind === 'conversation_lost', 0)
})

test('a message that is missing and half a line at the end: the conversation goes on with all that is left of it', async () => {
  const { session, inputOf, killClaude, transcript } = await open()
  const first = await inputOf('@text(one)')
  await inputOf('@text(two)')
  await inputOf(long('three'))
  await killClaude()
  const { folder, name } = transcript()
  const lines = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n')
  // The answer to "two" is lost, and with it the way back from "three" to where claude had put its mark.
  const lost = lines.findIndex((line) => JSON.parse(line).type === 'assistant' && line.includes('"text":"two"'))
  const marked = lines.findIndex((line) => JSON.parse(line).type === 'last-prompt')
  expect(lost).toBeGreaterThan(marked)
  expect(marked).toBeGreaterThan(0)
  const left = lines.filter(
    (line, index) => index !== lost && (index <= marked || JSON.parse(line).type !== 'last-prompt'),
  )
  const damaged = `${left.join('\n')}\n${lines[lost]?.slice(0, 100)}${'\0'.repeat(512)}`
  writeFileSync(join(folder, name), damaged)

  expect(await inputOf('@text(four)')).toBeGreaterThan(first + longTokens)
  const backups = readdirSync(folder).filter((entry) => entry.startsWith(`${name}.damaged-`))
  expect(backups.map((backup) => readFileSync(join(folder, backup), 'utf8'))).toEqual([damaged])
  expect((await session.info()).turns).toBe(4)
})

for (const [what, text] of Object.entries({ empty: '', cut: '{"projects":{', NULs: '\0'.repeat(300) }))
  test(`claude's settings are ${what}: the session goes on with its conversation`, async () => {
    const { session, home, inputOf, killClaude } = await open()
    const first = await inputOf('@text(one)')
    await inputOf(long('two'))
    await killClaude()
    writeFileSync(join(home, '.claude', '.claude.json'), text)
    expect(await inputOf('@text(three)')).toBeGreaterThan(first + longTokens)
    expect((await session.info()).generation).toBe(2)
  })

test('a tool that was running when claude died is open in its transcript, one that had run is not', async () => {
  const { id, session, home, workspace, transcript } = await open()
  const turn = session.execute('@bash(touch first) @bash(touch second; sleep 1000) @text(done)')
  const first = await pendingApproval(session)
  await client.approvals.answer(first.approvalId, { decision: 'allow' })
  const second = await pendingApproval(session, first.seq)
  await client.approvals.answer(second.approvalId, { decision: 'allow' })
  await until('it runs', () => server.sessionProcesses(id).all.some(({ argv }) => argv[0] === 'sleep'))
  const pids = server.sessionProcesses(id).all.map(({ pid }) => pid)
  const claude = await until('claude runs', () => server.sessionProcesses(id).claude)
  await server.kill9()
  kill(claude, 'SIGKILL')
  await allGone([claude])
  const place = { home, workspace, claudeSessionId: transcript().name.replace('.jsonl', '') }
  expect(await mendTranscript(place, Date.now())).toEqual({
    state: { found: true, openToolUses: [{ id: second.toolUseId, name: 'Bash' }], complete: false },
    repair: undefined,
  })
  await server.restart()
  // Without a server nobody ended its tool.
  await allGone(pids)
  const question = await until('the user is asked', async () =>
    (await client.approvals.list({ sessionId: id })).find(({ tool }) => tool === 'continue_turn'),
  )
  await client.approvals.answer(question.id, { decision: 'deny' })
  expect(await turn.complete()).toMatchObject({ result: 'error', reason: 'turn_cut_off' })
})

test('an operator who has the conversation open in a claude of his own keeps the session off it, and is told of by its pid', async () => {
  const { id, session, home, workspace, inputOf, killClaude, transcript } = await open()
  await inputOf('@text(one)')
  await killClaude()
  const resume = transcript().name.replace('.jsonl', '')
  const byHand = spawn(
    server.program,
    claudeArgv({ model: null, permissionMode: 'default', systemPrompt: null, maxTurns: null }, { resume }),
    {
      cwd: workspace,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: claudeEnvironment({
        ...{ home, tmp: home, path: systemPath, brokerSocket: join(home, 'none.sock'), token: 'none' },
        marker: { name: 'AICM_TEST', value: server.dataDir },
      }),
    },
  )
  try {
    byHand.stdin.write(encode({ kind: 'initialize' }))
    const registered = join(home, '.claude', 'sessions', `${byHand.pid}.json`)
    await until('it has the conversation open', () => {
      try {
        return readFileSync(registered, 'utf8').includes(resume)
      } catch {
        return false
      }
    })
    const turn = session.execute('@text(two)')
    await turn.accepted
    const error = await firstItem(session, (item) => item.type === 'error')
    expect(error).toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining(`process ${byHand.pid}) has this conversation open`),
    })
    expect(server.sessionProcesses(id).all).toEqual([])
    byHand.kill('SIGKILL')
    expect(await turn.complete()).toMatchObject({ result: 'success', text: 'two' })
  } finally {
    byHand.kill('SIGKILL')
    if (byHand.exitCode === null && byHand.signalCode === null) await once(byHand, 'exit')
  }
})
