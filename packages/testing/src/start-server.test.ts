import { existsSync } from 'node:fs'
import { expect } from 'vitest'
import { fakeTokens } from './fake-claude/install.ts'
import { isRunning } from './processes.ts'
import { requires } from './requires.ts'
import { startTestServer } from './start-server.ts'

const test = requires('linux')

test('a server with the stand-in answers, comes back on its address, and leaves nothing behind', async () => {
  const server = await startTestServer({ claude: 'fake' })
  const client = await server.client()
  const { id } = await client.sessions.create()
  expect(await client.session(id).execute('@tokens(20)').complete()).toMatchObject({ text: fakeTokens(20) })
  const { claude, all } = server.sessionProcesses(id)
  expect(all.map(({ pid }) => pid)).toContain(claude)

  await server.kill9()
  expect(server.children().map(({ pid }) => pid)).toContain(claude)
  await server.restart()
  expect(await client.session(id).execute('@text(again)').complete()).toMatchObject({ text: 'again' })

  const pids = [server.pid(), server.brokerPid(), ...server.children().map(({ pid }) => pid)]
  await server.stop()
  expect(pids.filter((pid) => pid === undefined || isRunning(pid))).toEqual([])
  expect(existsSync(server.dataDir)).toBe(false)
})

test('a server that cannot start says why, and leaves nothing behind', async () => {
  await expect(startTestServer({ claude: 'fake', args: ['--nonsense'] })).rejects.toThrow('Unknown option --nonsense')
  await expect(startTestServer({ claude: 'fake', args: ['--log-level', 'loud'] })).rejects.toThrow('--log-level')
})
