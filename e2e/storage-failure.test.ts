import {
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import type { Client } from '@aicm/client'
import { routes, type Message } from '@aicm/protocol'
import { isRunning, kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import BetterSqlite from 'better-sqlite3'
import { expect } from 'vitest'
import { collect, expectGapless, expectSame, firstItem, grownText, isComplete, logOf, storedText } from './lib/turns.ts'

const test = requires('linux')

const databaseOf = (server: TestServer): string => join(server.dataDir, 'aicm.db')

const say = async (client: Client, id: string, prompt: string): Promise<unknown> =>
  client.session(id).execute(prompt).complete()

/** A prompt as the wire has it. */
const post = async (server: TestServer, id: string, text: string): Promise<Response> =>
  fetch(`${server.url}/v1/sessions/${id}/execute`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await server.token()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: text }),
  })

const overwrite = (path: string, at: number, bytes: Buffer): void => {
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
}

const garbage = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 167 + 89) % 256))

const reportOf = (server: TestServer): { refilled: { messages: { found: number; lost: number } } } => {
  const name = readdirSync(server.dataDir).find((each) => each.startsWith('recovery-report-'))
  return JSON.parse(readFileSync(join(server.dataDir, name ?? 'no report'), 'utf8'))
}

/** What people said to each other, without what the server says of itself. */
const conversation = (log: Message[]) =>
  log.flatMap((message): { type: string; text: string | undefined }[] => {
    if (message.type === 'prompt')
      return [{ type: 'prompt', text: message.content.map((block) => ('text' in block ? block.text : '')).join('') }]
    return message.type === 'text' ? [{ type: 'text', text: message.text }] : []
  })

test('garbage in the middle of the database after kill -9: the server rebuilds it, every session is there and goes on', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const sessions = await Promise.all(Array.from({ length: 4 }, () => client.sessions.create()))
  for (const { id } of sessions)
    for (let turn = 0; turn < 3; turn++) await say(client, id, `@lines(40) @text(turn ${turn})`)
  // Everything into the file itself; the next server leaves a log behind.
  await server.terminate()
  await server.restart()
  const before = await Promise.all(sessions.map(({ id }) => logOf(client, id)))
  await server.kill9()
  const { size } = statSync(databaseOf(server))
  overwrite(databaseOf(server), Math.floor(size / 2 / 4096) * 4096, garbage(3 * 4096))

  await server.restart()
  await until('it says so', () => server.output().includes('The database was damaged'))
  expect(readdirSync(server.dataDir).filter((name) => name.startsWith('aicm.db.damaged-'))).not.toEqual([])
  let same = 0
  let lost = 0
  for (const [at, { id }] of sessions.entries()) {
    const after = await logOf(client, id)
    expectGapless(after)
    for (const message of before[at] ?? []) {
      const found = after[message.seq - 1]
      if (found?.type === 'system' && found.subtype === 'lost') lost++
      else if (JSON.stringify(found) === JSON.stringify(message)) same++
    }
    expect(await say(client, id, '@text(still here)')).toMatchObject({ result: 'success', text: 'still here' })
  }
  // The audit log is carried along, and what became of it is an entry of its own.
  const { entries } = await client.call(routes.audit.list, { query: { limit: 2000 } })
  const since = entries.slice(entries.findLastIndex(({ action }) => action === 'server.start') - 1)
  const [rebuilt] = since.filter(({ action }) => action === 'server.rebuild')
  // Behind what is left of it come the start and, where its own end was hit, the gap.
  const left = (rebuilt?.seq ?? 0) - (since[0]?.action === 'audit.gap' ? 3 : 2)
  expect(rebuilt).toMatchObject({ result: 'failed', detail: { audit: { entries: left, breaks: expect.any(Number) } } })
  const all = before.flat().length
  expect(reportOf(server).refilled.messages.lost).toBe(lost)
  expect(same / all).toBeGreaterThan(0.7)
})

requires('claude', 'linux')(
  'a database that is garbage from end to end: sessions come back from the transcripts, with their conversation',
  async () => {
    await using server = await startTestServer()
    const client = await server.client()
    const { id } = await client.sessions.create()
    await say(client, id, '@text(first answer)')
    await say(client, id, '@text(second answer)')
    const ended = await client.sessions.create()
    await say(client, ended.id, '@text(of a session without a process)')
    await client.session(ended.id).close()
    const before = conversation(await logOf(client, id))
    const { turnId } = await client.session(id).execute('@tokens(150,20)').accepted
    await until('claude answers', async () => (await client.session(id).info()).status === 'running')
    await until(
      'the end of the audit log is noted',
      async () => (await client.call(routes.audit.head, {})).anchor !== null,
    )
    await server.kill9()
    writeFileSync(databaseOf(server), garbage(500_000))
    for (const suffix of ['-wal', '-shm']) rmSync(databaseOf(server) + suffix, { force: true })

    // The account is back under its old id: the password is that of the environment, and old tokens are good.
    await server.restart()
    const { sessions: items } = await client.sessions.list()
    expect(items.map((session) => session.id)).toContain(id)
    // Of the audit log nothing is left, and the new one says so.
    const { entries } = await client.call(routes.audit.list, { query: {} })
    expect(entries.slice(0, 3).map(({ action }) => action)).toEqual(['audit.gap', 'server.start', 'server.rebuild'])
    expect(items).toHaveLength(2)
    // What a reader had seen of it lies at other places now: it reads anew.
    await until('the turn that was running has ended', async () => {
      const last = (await logOf(client, id)).findLast(({ type }) => type === 'complete')
      return last?.turnId === turnId
    })
    const log = await logOf(client, id)
    expectGapless(log)
    expect(conversation(log).slice(0, before.length)).toEqual(before)
    expect(await say(client, id, '@text(third answer)')).toMatchObject({ result: 'success', text: 'third answer' })

    const other = items.find((session) => session.id !== id)
    expect(conversation(await logOf(client, other?.id ?? ''))).toEqual([
      { type: 'prompt', text: '@text(of a session without a process)' },
      { type: 'text', text: 'of a session without a process' },
    ])
  },
)

test('a key-value store that is garbage: a running turn goes on, and nothing of it is lost', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const { id } = await client.sessions.create()
  const turn = client.session(id).execute('@tokens(300,10)')
  await turn.accepted
  await until('claude runs', () => server.sessionProcesses(id).claude)
  await until('it answers', async () => (await client.session(id).info()).status === 'running')
  await server.kill9()
  writeFileSync(join(server.dataDir, 'kv', 'data.mdb'), garbage(100_000))
  await server.restart()
  expect(await turn.complete()).toMatchObject({ result: 'success' })
  const log = await logOf(client, id)
  expectGapless(log)
  expect(storedText(log)).toBe(Array.from({ length: 300 }, (_, at) => (at === 0 ? 'tok0' : ` tok${at}`)).join(''))
  expect((await client.session(id).info()).generation).toBe(1)
})

/** Takes the database for another program, until it is disposed of. */
const hold = (server: TestServer): Disposable => {
  const file = new BetterSqlite(databaseOf(server))
  file.exec('BEGIN IMMEDIATE')
  return { [Symbol.dispose]: () => void file.close() }
}

test('a database that cannot be written: prompts are refused with 503 and Retry-After, reads go on, it recovers by itself', async () => {
  await using server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const { id } = await client.sessions.create()
  await say(client, id, '@text(before)')
  {
    using _ = hold(server)
    for (let attempt = 0; attempt < 8; attempt++) {
      const response = await post(server, id, '@text(refused)')
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
      expect(await response.json()).toMatchObject({ error: { code: 'storage_unavailable' } })
    }
    expect(storedText(await logOf(client, id))).toBe('before')
  }
  await until('a prompt is taken', async () => (await post(server, id, '@text(after)')).status === 202)
  await until('it is answered', async () => storedText(await logOf(client, id)).endsWith('after'))
  expect(storedText(await logOf(client, id))).toBe('beforeafter')
})

test('with a fallback store prompts are taken and answered meanwhile, survive a crash, and are merged once', async () => {
  await using fallback = await tempDir()
  const dir = join(fallback.path, 'fallback')
  await using server = await startTestServer({ claude: 'fake', args: ['--fallback-data-dir', dir] })
  const client = await server.client()
  const { id } = await client.sessions.create()
  await say(client, id, '@text(before)')
  {
    using _ = hold(server)
    expect(await say(client, id, '@lines(50) @text(meanwhile)')).toMatchObject({ text: 'meanwhile' })
    expectGapless(await logOf(client, id))
    await server.kill9()
  }
  await server.restart()
  expect(await say(client, id, '@text(after)')).toMatchObject({ text: 'after' })
  const log = await logOf(client, id)
  expectGapless(log)
  expect(log.filter(({ type }) => type === 'prompt')).toHaveLength(3)
  await server.terminate()
  const file = new BetterSqlite(databaseOf(server), { readonly: true })
  const stored = file.prepare('SELECT data FROM events WHERE session_id = ? ORDER BY seq').pluck().all(id)
  file.close()
  expect(stored.map((data) => JSON.parse(String(data)))).toEqual(log)
  const left = new BetterSqlite(join(dir, 'appends.db'), { readonly: true })
  expect(left.prepare('SELECT count(*) FROM appends').pluck().get()).toBe(0)
  left.close()
})

requires(
  'root',
  'net-namespace',
  'linux',
)('a full disk: prompts are refused with 507, reads go on, and it recovers by itself when there is room', async () => {
  await using disk = await mountSmallDisk(300_000)
  await using server = await startTestServer({ claude: 'fake', dataDir: join(disk.path, 'data') })
  const client = await server.client()
  const { id } = await client.sessions.create()
  await say(client, id, '@text(before)')
  const ballast = join(disk.path, 'ballast')
  fillDisk(ballast)
  const refusal = await until('a prompt is refused', async () => {
    const response = await post(server, id, 'x'.repeat(500_000))
    return response.status === 202 ? undefined : response
  })
  expect(refusal.status).toBe(507)
  expect(await refusal.json()).toMatchObject({ error: { code: 'storage_full' } })
  expect(storedText(await logOf(client, id))).toContain('before')
  expect(existsSync(ballast)).toBe(true)
  rmSync(ballast)
  await until('a prompt is taken', async () => (await post(server, id, '@text(after)')).status === 202)
  await until('it is answered', async () => storedText(await logOf(client, id)).endsWith('after'))
  expectGapless(await logOf(client, id))
})

for (const claude of ['fake', 'real'] as const)
  requires(
    'root',
    'net-namespace',
    ...(claude === 'real' ? (['claude'] as const) : []),
  )(
    `a full disk under a turn (${claude} claude): it waits for room, told once, and is then finished once`,
    async () => {
      await using disk = await mountSmallDisk(300_000)
      const args = ['--start-timeout', '15s', '--max-retries', '1']
      await using server = await startTestServer({ claude, dataDir: join(disk.path, 'data'), args })
      const client = await server.client()
      const { id } = await client.sessions.create()
      await say(client, id, '@text(before)')
      const session = client.session(id)
      const turn = session.execute('@tokens(1000,5)')
      const { turnId, seq } = await turn.accepted
      await firstItem(session, ({ type }) => type === 'delta', seq)
      const { outer, claude: pid } = server.sessionProcesses(id)
      const ballast = join(disk.path, 'ballast')
      fillDisk(ballast)
      // It may have ended by itself.
      if (pid !== undefined) kill(pid, 'SIGKILL')
      await until('all of it has ended', () => outer !== undefined && !isRunning(outer))
      // Enough to write down what happens, and not enough for a process.
      truncateSync(ballast, statSync(ballast).size - 6 * 2 ** 20)
      await until('it waits', async () => (await client.health()).sessions.waiting === 1)
      await expect(client.sessions.create()).rejects.toMatchObject({
        ...{ code: 'out_of_capacity', message: expect.stringContaining('The disk of the data folder is full.') },
      })
      rmSync(ballast)
      expectSame((await turn.complete()).text ?? '', tokensText(1000))
      const log = await logOf(client, id)
      expectGapless(log)
      const told = log.filter((message) => message.turnId === turnId || message.type === 'status')
      expect(told.filter(({ type }) => type === 'error')).toMatchObject([{ code: 'disk_full' }])
      expect(told.filter(({ type }) => type === 'complete')).toMatchObject([{ result: 'success' }])
      expect(
        log.filter((message) => message.type === 'progress' && message.kind === 'waiting_for_process'),
      ).toHaveLength(1)
      expect(await say(client, id, '@text(after)')).toMatchObject({ text: 'after' })
    },
  )

test('a disk that fails to sync: nothing is accepted, reads go on, a running turn too, and the server renews itself', async () => {
  await using dir = await tempDir()
  const failing = join(dir.path, 'failing')
  const preload = new URL('programs/fail-syncs.mjs', import.meta.url).href
  await using server = await startTestServer({
    claude: 'fake',
    args: ['--stop-sessions'],
    env: { NODE_OPTIONS: `--import=${preload}`, FAIL_SYNCS: failing },
  })
  const client = await server.client()
  const { id } = await client.sessions.create()
  const other = await client.sessions.create()
  await say(client, id, '@text(before)')
  const pid = server.pid()
  const turn = client.session(other.id).execute('@tokens(400,5)')
  const items = collect(turn, isComplete)
  // It is shown as running before its prompt is on the disk.
  await turn.accepted
  await until('the turn runs', async () => (await client.session(other.id).info()).status === 'running')
  writeFileSync(failing, '')
  for (let attempt = 0; attempt < 8; attempt++) {
    const response = await post(server, id, '@text(refused)')
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ error: { code: 'storage_unavailable' } })
  }
  expect(storedText(await collect(client.session(id).events(), isComplete))).toBe('before')
  rmSync(failing)
  await until('a prompt is taken', () =>
    post(server, id, '@text(after)').then(
      ({ status }) => status === 202,
      () => false,
    ),
  )
  await until('it is answered', async () => storedText(await logOf(client, id)).endsWith('after'))
  expectGapless(await logOf(client, id))
  const seen = await items
  // A block that was written down while its reader came again is told whole.
  expectSame(grownText(seen), tokensText(400).slice(0, grownText(seen).length))
  expectSame(storedText(seen), tokensText(400))
  const log = await logOf(client, other.id)
  expectGapless(log)
  expectSame(storedText(log), tokensText(400))
  const info = await client.session(other.id).info()
  expect([info.generation, server.pid()]).toEqual([1, pid])
  expect(server.output()).toContain('takes data again')
})

const fillDisk = (path: string): void => {
  const fd = openSync(path, 'w')
  for (const bytes of [1_000_000, 4096])
    try {
      while (true) writeSync(fd, Buffer.alloc(bytes))
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
    }
  closeSync(fd)
}
