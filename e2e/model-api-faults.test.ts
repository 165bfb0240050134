import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import type { Client } from '@aicm/client'
import type { Message } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { expectGapless, expectSame, firstItem, logOf, pendingApproval, storedText } from './lib/turns.ts'

/** What the model API does to a turn of the real claude. Its own retries are shown, and nothing is tried on top of them. */

const test = requires('claude', 'linux')
let server: TestServer
let client: Client

beforeAll(async () => {
  server = await startTestServer()
  client = await server.client()
})
afterAll(() => server?.stop())

const open = async () => {
  const { id, workspaceId } = await client.sessions.create()
  const { path: workspace } = await client.workspaces.get(workspaceId)
  return { id, session: client.session(id), workspace }
}

const retriesOf = (log: Message[]) =>
  log.filter((message) => message.type === 'progress' && message.kind === 'api_retry').length

/** Of a turn that needed no other process. */
const expectUndisturbed = async (id: string): Promise<Message[]> => {
  expect((await client.sessions.get(id)).generation).toBe(1)
  const log = await logOf(client, id)
  expectGapless(log)
  expect(log.filter(({ type }) => type === 'complete')).toHaveLength(1)
  return log
}

for (const status of [429, 500, 529])
  test(`${status} twice: claude tries again, each try is told, and the turn succeeds`, async () => {
    const { id, session } = await open()
    expect(await session.execute(`@error(${status},2) @text(fine)`).complete()).toMatchObject({
      result: 'success',
      text: 'fine',
    })
    expect(retriesOf(await expectUndisturbed(id))).toBe(2)
  })

test('a refusal that no retry mends ends the turn with its status, and the session goes on', async () => {
  const { id, session } = await open()
  expect(await session.execute('@error(400)').complete()).toMatchObject({ result: 'error' })
  await expectUndisturbed(id)
  expect(await session.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })
})

test('a stream that is reset in the middle: claude asks for the rest, and nothing is there twice', async () => {
  const { id, session } = await open()
  expect(await session.execute('@reset(50) @text( end)').complete()).toMatchObject({ result: 'success' })
  expectSame(storedText(await expectUndisturbed(id)), `${tokensText(50)} end`)
})

test('an event of the API that is not JSON: claude tries again', async () => {
  const { id, session } = await open()
  expect(await session.execute('@malformed').complete()).toMatchObject({ result: 'success', text: 'Recovered.' })
  await expectUndisturbed(id)
})

for (const hang of ['@hang', '@hang(headers)'])
  test(`an API that says nothing (${hang}): an interrupt ends the turn, and the session goes on`, async () => {
    const { id, session } = await open()
    const turn = session.execute(hang)
    await firstItem(session, (item) => item.type === 'metadata')
    await session.interrupt()
    expect(await turn.complete()).toMatchObject({ result: 'interrupted' })
    await expectUndisturbed(id)
    expect(await session.execute('@text(next)').complete()).toMatchObject({ result: 'success', text: 'next' })
  })

test('a tool that writes past the size limit of files fails, and the turn goes on', async () => {
  const { id, session, workspace } = await open()
  const turn = session.execute('@bash(truncate -s 5G big; echo status $? > status.txt) @text(done)')
  await client.approvals.answer((await pendingApproval(session)).approvalId, { decision: 'allow' })
  expect(await turn.complete()).toMatchObject({ result: 'success', text: 'done' })
  expect(existsSync(join(workspace, 'status.txt'))).toBe(true)
  expect(readFileSync(join(workspace, 'status.txt'), 'utf8')).not.toBe('status 0\n')
  await expectUndisturbed(id)
})
