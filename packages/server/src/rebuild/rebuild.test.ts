import { promptMessage, sessionRecord, textMessage, userRecord, workspaceRecord } from '@aicm/testing/conformance'
import { recordings } from '@aicm/testing/recordings'
import { tempDir } from '@aicm/testing/temp-dir'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import type { Log } from '../lib/log.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { openMemoryKeyValue } from '../storage/drivers/memory/key-value.ts'
import type { Rescued } from '../storage/rescued.ts'
import { createRefill } from './rebuild.ts'

const quiet = (): void => {}
const log: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => log }
const now = Date.parse('2026-03-01T12:00:00.000Z')
const conversation = 'ad11a5fd-035f-47b4-a55b-ef0a4f79ed06'
const turn = '94f01098-5b9a-4ab4-a477-ad2e94398aa2'
const cwd = '/srv/site'

const line = (fields: Record<string, unknown>): string =>
  `${JSON.stringify({ isSidechain: false, timestamp: '2026-02-01T10:00:00.000Z', cwd, sessionId: conversation, ...fields })}\n`

/** As claude 2.1.330 writes it down. */
const transcript = [
  '{"type":"queue-operation","operation":"enqueue"}\n',
  line({
    type: 'user',
    uuid: turn,
    promptSource: 'sdk',
    message: { role: 'user', content: [{ type: 'text', text: 'Run echo.' }] },
  }),
  line({
    type: 'assistant',
    uuid: 'u1',
    message: { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} }] },
  }),
  line({
    type: 'user',
    uuid: 'u2',
    message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'hi' }] },
  }),
  line({ type: 'assistant', isSidechain: true, message: { content: [{ type: 'text', text: 'a sub-agent' }] } }),
  line({
    type: 'assistant',
    uuid: 'u3',
    message: { role: 'assistant', content: [{ type: 'text', text: 'Done.' }], stop_reason: 'end_turn' },
  }),
  '{"type":"assistant","message":{"content":[{"type":"te',
].join('')

const open = async (files: Record<string, string>) => {
  const dir = await tempDir()
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir.path, name)), { recursive: true })
    await writeFile(join(dir.path, name), content)
  }
  const database = openMemoryDatabase()
  const kv = openMemoryKeyValue()
  const refill = createRefill({ dataDir: dir.path, kv, now, log })
  return {
    database,
    kv,
    refill: (found: { incomplete?: Rescued[]; sessionsLost?: boolean }) =>
      refill(database, { incomplete: [], sessionsLost: false, ...found }),
    read: (sessionId: string) => database.events.read({ sessionId, after: 0, limit: 1000 }),
    [Symbol.asyncDispose]: dir[Symbol.asyncDispose],
  }
}

const transcriptOf = (userId: string) => `users/${userId}/home/.claude/projects/-srv-site/${conversation}.jsonl`

test('a conversation that nothing else is known of becomes a session that goes on with it', async () => {
  await using node = await open({ [transcriptOf('usr_1')]: transcript })
  await node.database.workspaces.create(workspaceRecord({ id: 'wsp_9', userId: 'usr_1', path: cwd }))
  const report = await node.refill({ sessionsLost: true })
  expect(report).toEqual({
    mended: 0,
    rebuilt: 1,
    messages: { found: 5, lost: 0 },
    lostSessions: [],
    lostUsers: ['usr_1'],
    audit: { entries: 0, breaks: 0, first: [] },
  })
  const [session] = await node.database.sessions.list({ userId: 'usr_1', limit: 5 })
  expect(session).toMatchObject({
    workspaceId: 'wsp_9',
    createdAt: Date.parse('2026-02-01T10:00:00.000Z'),
    state: { status: 'idle', process: 'none', claudeSessionId: conversation, resumable: true, turns: 1 },
  })
  expect(await node.read(session?.id ?? '')).toMatchObject([
    { seq: 1, type: 'prompt', turnId: turn, content: [{ type: 'text', text: 'Run echo.' }], userId: 'usr_1' },
    { seq: 2, type: 'tool_use', turnId: turn, toolUseId: 'toolu_1', name: 'Bash' },
    { seq: 3, type: 'tool_result', turnId: turn, content: 'hi', isError: false },
    { seq: 4, type: 'text', turnId: turn, text: 'Done.' },
    { seq: 5, type: 'complete', turnId: turn, result: 'success', text: 'Done.' },
  ])
})

test('where no session was lost a conversation that nobody claims stays what it is', async () => {
  await using node = await open({ [transcriptOf('usr_1')]: transcript })
  await node.database.users.create(userRecord({ id: 'usr_1' }))
  expect(await node.refill({})).toMatchObject({ rebuilt: 0, lostUsers: [] })
})

test('holes in a log are filled from the transcript, and the session stays as it was', async () => {
  await using node = await open({ [transcriptOf('usr_1')]: transcript })
  const record = sessionRecord({
    userId: 'usr_1',
    name: 'Mine',
    lastSeq: 6,
    state: { ...sessionRecord().state, claudeSessionId: conversation, generation: 3 },
  })
  const events = [promptMessage(1, turn), { ...textMessage(4, 'Done.'), turnId: turn }]
  const report = await node.refill({ incomplete: [{ id: record.id, record, events }] })
  expect(report).toMatchObject({ mended: 1, rebuilt: 0, messages: { found: 3, lost: 1 } })
  expect(await node.database.sessions.get(record.id)).toEqual(record)
  expect((await node.read(record.id)).map(({ type }) => type)).toEqual([
    'prompt',
    'tool_use',
    'tool_result',
    'text',
    'complete',
    'system',
  ])
})

test('a session without a row goes on with its running process: where its journal ends, with its open questions', async () => {
  const journal = (recordings().get('permissions-and-queue') ?? '').split('\n')
  const asked = journal.findIndex((each) => each.includes('"can_use_tool"'))
  const ended = journal.findLastIndex((each, at) => at < asked && each.includes('"type":"result"'))
  const told = [
    '{"type":"control_response","response":{"subtype":"success","request_id":"aicm-initialize"}}',
    `{"type":"command_lifecycle","command_uuid":"${turn}","state":"started"}`,
    ...journal.slice(ended + 1, asked + 1),
    '',
  ].join('\n')
  await using node = await open({ 'sessions/ses_1/2/stdout.ndjson': told, 'users/usr_1/home/x': '' })
  await node.kv.put('process/ses_1', { generation: 2 })
  expect(await node.refill({ sessionsLost: true })).toMatchObject({ rebuilt: 1, lostSessions: [] })
  const record = await node.database.sessions.get('ses_1')
  expect(record).toMatchObject({
    userId: 'usr_1',
    source: { generation: 2, offset: Buffer.byteLength(told) },
    state: { status: 'running', process: 'ready', generation: 2, resumable: true, approvals: [{ answer: null }] },
  })
  const pending = await node.database.approvals.listPending({ userId: 'usr_1' })
  expect(pending.map(({ id }) => id)).toEqual(record?.state.approvals.map(({ approvalId }) => approvalId))
  const events = await node.read('ses_1')
  expect(events.at(0)).toMatchObject({ type: 'prompt', userId: 'usr_1', turnId: record?.state.turn?.id })
  expect(events.at(-1)).toMatchObject({ type: 'approval', state: 'pending' })
})

test('a session of which there is only a folder is reported as lost', async () => {
  await using node = await open({ 'sessions/ses_1/tmp/x': '', 'users/usr_1/home/x': '' })
  expect(await node.refill({ sessionsLost: true })).toMatchObject({ rebuilt: 0, lostSessions: ['ses_1'] })
})
