import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import type { ApprovalMessage } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectRefusal, send } from './lib/http.ts'
import { collect, expectGapless, logOf, pendingApproval, storedText } from './lib/turns.ts'
import { openSocket } from './lib/ws.ts'

const test = requires('claude', 'linux')
let server: TestServer
let client: Client

beforeAll(async () => {
  server = await startTestServer()
  client = await server.client()
})
afterAll(() => server?.stop())

/** A session with its folder. */
const open = async () => {
  const { id, workspaceId } = await client.sessions.create()
  const { path } = await client.workspaces.get(workspaceId)
  return { id, session: client.session(id), file: (name: string): string => join(path, name) }
}

const approvalsIn = async (id: string): Promise<ApprovalMessage[]> =>
  (await logOf(client, id)).filter((message) => message.type === 'approval')

test('Write asks, waits, and writes the file once it is allowed', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@write(notes/a.txt|written) @text(done)')
  const request = await pendingApproval(session)
  expect(request).toMatchObject({
    tool: 'Write',
    input: { file_path: file('notes/a.txt'), content: 'written' },
    turnId: turn.turnId,
  })
  expect(existsSync(file('notes/a.txt'))).toBe(false)
  expect(await session.info()).toMatchObject({ status: 'running', awaiting: 1 })
  expect(await client.approvals.list({ sessionId: id })).toMatchObject([
    { id: request.approvalId, sessionId: id, state: 'pending' },
  ])

  expect(await client.approvals.answer(request.approvalId, { decision: 'allow' })).toMatchObject({ state: 'allowed' })
  expect(await turn.complete()).toMatchObject({ result: 'success', text: 'done' })
  expect(readFileSync(file('notes/a.txt'), 'utf8')).toBe('written')
  expect(await client.approvals.list({ sessionId: id })).toEqual([])
  expect((await approvalsIn(id)).map(({ state }) => state)).toEqual(['pending', 'allowed'])
})

test('Bash asks, and its output is the result of the tool', async () => {
  const { id, session } = await open()
  const turn = session.execute('@bash(touch made.txt && ls) @text(done)')
  const request = await pendingApproval(session)
  expect(request).toMatchObject({ tool: 'Bash', input: { command: 'touch made.txt && ls' } })
  await client.approvals.answer(request.approvalId, { decision: 'allow' })
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  const result = (await logOf(client, id)).find((message) => message.type === 'tool_result')
  expect(result).toMatchObject({ toolUseId: request.toolUseId, isError: false, content: 'made.txt' })
})

test('a denied tool does not run, and the model is told why', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@write(b.txt|no) @text(understood)')
  const { approvalId } = await pendingApproval(session)
  await client.approvals.answer(approvalId, { decision: 'deny', message: 'Not in this folder.' })
  expect(await turn.complete()).toMatchObject({ result: 'success', text: 'understood' })
  expect(existsSync(file('b.txt'))).toBe(false)
  const log = await logOf(client, id)
  expect(log.find((message) => message.type === 'tool_result')).toMatchObject({
    isError: true,
    content: expect.stringContaining('Not in this folder.'),
  })
  expect((await approvalsIn(id)).at(-1)).toMatchObject({ state: 'denied', message: 'Not in this folder.' })
})

test('a tool runs with the input that was allowed instead', async () => {
  const { session, file } = await open()
  const turn = session.execute('@write(c.txt|proposed) @text(done)')
  const { approvalId } = await pendingApproval(session)
  const updatedInput = { file_path: file('d.txt'), content: 'corrected' }
  await client.approvals.answer(approvalId, { decision: 'allow', updatedInput })
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  expect(existsSync(file('c.txt'))).toBe(false)
  expect(readFileSync(file('d.txt'), 'utf8')).toBe('corrected')
})

test('what was remembered is not asked again in this session, and asked in another', async () => {
  const { id, session, file } = await open()
  const first = session.execute('@write(one.txt|1) @text(done)')
  const { approvalId, canRemember } = await pendingApproval(session)
  expect(canRemember).toBe(true)
  await client.approvals.answer(approvalId, { decision: 'allow', remember: true })
  await first.complete()
  expect(await session.execute('@write(two.txt|2) @text(done)').complete()).toMatchObject({ result: 'success' })
  expect(readFileSync(file('two.txt'), 'utf8')).toBe('2')
  expect((await approvalsIn(id)).length).toBe(2)

  const other = await open()
  other.session.execute('@write(three.txt|3)')
  const again = await pendingApproval(other.session)
  await client.approvals.answer(again.approvalId, { decision: 'deny' })
})

test('of two clients the first answer counts, over HTTP and WebSocket alike', async () => {
  const { id, session, file } = await open()
  const second = await server.client()
  const socket = await openSocket(`${server.url}/v1/ws`, {
    headers: { authorization: `Bearer ${await server.token()}` },
  })
  const turn = session.execute('@write(e.txt|first) @text(done)')
  const { approvalId } = await pendingApproval(session)
  expect((await pendingApproval(second.session(id))).approvalId).toBe(approvalId)

  const answers = await Promise.allSettled([
    client.approvals.answer(approvalId, { decision: 'allow' }),
    second.approvals.answer(approvalId, { decision: 'allow' }),
    client.approvals.answer(approvalId, { decision: 'allow' }),
  ])
  expect(answers.filter(({ status }) => status === 'fulfilled').length).toBe(1)
  for (const answer of answers)
    if (answer.status === 'rejected')
      expect(answer.reason).toMatchObject({ code: 'approval_already_answered', status: 409 })
  socket.send({ type: 'approve', ref: 'late', approvalId, decision: { decision: 'deny' } })
  expect(await socket.next('error')).toMatchObject({ ref: 'late', error: { code: 'approval_already_answered' } })
  socket.close()
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  expect(readFileSync(file('e.txt'), 'utf8')).toBe('first')
  expect((await approvalsIn(id)).map(({ state }) => state)).toEqual(['pending', 'allowed'])
})

test('an interrupt withdraws the request; a late answer is refused', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@write(f.txt|no)')
  const { approvalId } = await pendingApproval(session)
  await session.interrupt()
  expect(await turn.complete()).toMatchObject({ result: 'interrupted' })
  expect((await approvalsIn(id)).at(-1)).toMatchObject({ state: 'withdrawn' })
  expect(await client.approvals.list({ sessionId: id })).toEqual([])
  const late = await send(`${server.url}/v1/approvals/${approvalId}`, 'POST', {
    token: await server.token(),
    body: { decision: 'allow' },
  })
  expectRefusal(late, 'approval_already_answered')
  expect(existsSync(file('f.txt'))).toBe(false)
})

test('closing the session withdraws the request', async () => {
  const { id, session } = await open()
  session.execute('@bash(touch x)')
  const { approvalId } = await pendingApproval(session)
  await session.close()
  expect((await approvalsIn(id)).at(-1)).toMatchObject({ approvalId, state: 'withdrawn' })
  await expect(client.approvals.answer(approvalId, { decision: 'allow' })).rejects.toMatchObject({ status: 409 })
})

test('a request survives kill -9 of the server and is answered afterwards', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@text(before) @write(g.txt|after the crash) @text( and after)')
  const { approvalId } = await pendingApproval(session)
  const { claude } = server.sessionProcesses(id)
  await server.restart()

  const [pending] = await client.approvals.list({ sessionId: id })
  expect(pending).toMatchObject({ id: approvalId, state: 'pending' })
  expect(server.sessionProcesses(id).claude).toBe(claude)
  await client.approvals.answer(approvalId, { decision: 'allow' })
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  expect(readFileSync(file('g.txt'), 'utf8')).toBe('after the crash')
  const log = await logOf(client, id)
  expectGapless(log)
  expect(storedText(log)).toBe('before and after')
  expect((await session.info()).generation).toBe(1)
})

test('an answer right before kill -9 of the server is not lost', async () => {
  const { id, session, file } = await open()
  const turn = session.execute('@write(h.txt|kept) @text(done)')
  const { approvalId } = await pendingApproval(session)
  await client.approvals.answer(approvalId, { decision: 'allow' })
  await server.restart()
  expect(await turn.complete()).toMatchObject({ result: 'success', text: 'done' })
  expect(readFileSync(file('h.txt'), 'utf8')).toBe('kept')
  expect((await approvalsIn(id)).map(({ state }) => state)).toEqual(['pending', 'allowed'])
})

test('requests of several sessions wait beside each other', async () => {
  const sessions = await Promise.all([open(), open()])
  const turns = sessions.map(({ session }) => session.execute('@write(both.txt|x) @text(done)'))
  await Promise.all(sessions.map(({ session }) => pendingApproval(session)))
  const ids = new Set(sessions.map(({ id }) => id))
  const waiting = await until('both are listed', async () => {
    const listed = (await client.approvals.list()).filter(({ sessionId }) => ids.has(sessionId))
    return listed.length === 2 && listed
  })
  for (const { id } of waiting) await client.approvals.answer(id, { decision: 'allow' })
  for (const turn of turns) expect((await collect(turn)).at(-1)).toMatchObject({ type: 'complete', result: 'success' })
})
