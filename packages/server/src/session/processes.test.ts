import { mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { installFakeClaude } from '@aicm/testing/fake-claude'
import { isRunning, kill } from '@aicm/testing/processes'
import { bareWalls } from '@aicm/testing/session-node'
import { newRecord } from '@aicm/testing/session-record'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect, test } from 'vitest'
import { identify, processesWithMarker } from '../process/identity.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { openMemoryKeyValue } from '../storage/drivers/memory/key-value.ts'
import { createProcesses, type FoundAtStart } from './processes.ts'

const { state } = newRecord()
const recordOf = (generation: number, more: Parameters<typeof newRecord>[1] = {}) =>
  newRecord({ generation, resumable: true }, more)

const open = async () => {
  const folder = await tempDir()
  const database = openMemoryDatabase()
  const workspace = join(folder.path, 'workspace')
  for (const name of ['workspace', 'broker', 'bin']) mkdirSync(join(folder.path, name))
  const { workspaceId: id, userId } = newRecord()
  await database.workspaces.create({
    ...{ id, userId, name: 'test', source: 'empty', path: workspace, gitUrl: null, status: 'ready', error: null },
    createdAt: 0,
  })
  const program = installFakeClaude(join(folder.path, 'bin'))
  const kv = openMemoryKeyValue()
  const processes = createProcesses(kv, database.workspaces, {
    confinementOf: async () => undefined,
    ...{ dataDir: folder.path, brokerDir: join(folder.path, 'broker'), walls: bareWalls },
    program: () => program,
    brokerUp: async () => undefined,
    tokens: { give: () => 'token', revoke: () => {}, sessions: () => [] },
  })
  const claudeDir = join(folder.path, 'users', userId, 'home', '.claude')
  mkdirSync(claudeDir, { recursive: true })
  return {
    processes,
    claudeDir,
    writers: () => kv.list('writer/'),
    /** As claude does it in the home that it runs in. */
    register: (file: string, entry: unknown) => {
      mkdirSync(join(claudeDir, 'sessions'), { recursive: true })
      writeFileSync(join(claudeDir, 'sessions', file), JSON.stringify(entry))
    },
    [Symbol.asyncDispose]: async () => {
      await processes.sweep(() => false)
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('an older generation that still lives is ended before the next one is started on its transcript', async () => {
  await using node = await open()
  const first = await node.processes.start(recordOf(1))
  const { pid } = first.record.identity
  expect(isRunning(pid)).toBe(true)
  let aliveWhenNextStarts: boolean | undefined
  await node.processes.start(recordOf(2), { onFound: () => void (aliveWhenNextStarts = isRunning(pid)) })
  expect(aliveWhenNextStarts).toBe(false)
  await first.exited
})

test('what outlived the outermost process of an older generation is ended too', async () => {
  await using node = await open()
  // A conversation that is not there would end it at once.
  const first = await node.processes.start(newRecord({ generation: 1, resumable: false }))
  const marker = `AICM_PROCESS=${recordOf(1).id}/1`
  await until('claude runs in it', async () => (await processesWithMarker(marker)).length > 1)
  first.release()
  kill(first.record.identity.pid, 'SIGKILL')
  await until('it is gone', () => !isRunning(first.record.identity.pid))
  expect(await processesWithMarker(marker)).not.toEqual([])
  let left: Promise<number[]> | undefined
  await node.processes.start(recordOf(2), { onFound: () => void (left = processesWithMarker(marker)) })
  expect(await left).toEqual([])
})

test('a transcript is let go of with the end of its process', async () => {
  await using node = await open()
  const first = await node.processes.start(recordOf(1))
  expect(await node.writers()).toHaveLength(1)
  await first.stop(0)
  await node.processes.forget(recordOf(1).id, first)
  expect(await node.writers()).toEqual([])
  // The end of an older one is told late.
  const second = await node.processes.start(recordOf(2))
  await node.processes.forget(recordOf(2).id, first)
  expect(await node.writers()).toMatchObject([{ value: { dir: second.record.dir } }])
})

test('a conversation that another session has open is refused, until that one has ended', async () => {
  await using node = await open()
  const first = await node.processes.start(recordOf(1))
  const other = recordOf(1, { id: 'ses_00000000000000000000000002' })
  await expect(node.processes.start(other)).rejects.toThrow('ses_00000000000000000000000001 has this conversation open')
  expect(isRunning(first.record.identity.pid)).toBe(true)
  await first.stop(0)
  await node.processes.start(other)
})

test('another user has a conversation of the same name for himself', async () => {
  await using node = await open()
  await node.processes.start(recordOf(1))
  await node.processes.start(
    recordOf(1, { id: 'ses_00000000000000000000000002', userId: 'usr_00000000000000000000000002' }),
  )
})

test('a claude that was started by hand in the same home keeps the session off its conversation, and is not touched', async () => {
  await using node = await open()
  const self = identify(process.pid)
  const entry = {
    pid: process.pid,
    sessionId: state.claudeSessionId,
    procStart: `${self?.startTime}`,
    pidDomain: `linux:0:${readlinkSync('/proc/self/ns/pid')}`,
  }
  node.register('0.json', 'not one')
  node.register('1.json', entry)
  await expect(node.processes.start(recordOf(1))).rejects.toThrow(`process ${process.pid}) has this conversation open`)
  // Another conversation; another process with its id; an id of another namespace; nothing that can be read.
  const harmless = [
    { ...entry, sessionId: 'another' },
    { ...entry, procStart: '1' },
    { ...entry, pidDomain: 'linux:0:pid:[1]' },
    { ...entry, pid: -1 },
    null,
  ]
  for (const [index, other] of harmless.entries()) {
    node.register('1.json', other)
    await (await node.processes.start(recordOf(index + 1))).stop(0)
  }
})

test('what was mended in the home is told before claude starts in it', async () => {
  await using node = await open()
  writeFileSync(join(node.claudeDir, '.claude.json'), '')
  const told: FoundAtStart[] = []
  await node.processes.start(recordOf(1), { onFound: (found) => void told.push(found) })
  expect(told).toEqual([
    {
      transcript: { found: false, openToolUses: [], complete: false },
      repairs: [{ text: expect.stringContaining('settings were damaged'), backup: expect.any(String) }],
    },
  ])
})
