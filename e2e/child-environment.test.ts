import { realpathSync } from 'node:fs'
import type { Client } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { logOf, pendingApproval } from './lib/turns.ts'

const test = requires('claude', 'linux')
const canary = 'canary-7f3a91c2'
let server: TestServer
let client: Client

beforeAll(async () => {
  server = await startTestServer({
    env: {
      CANARY: canary,
      AWS_SECRET_ACCESS_KEY: canary,
      DATABASE_URL: `postgres://${canary}@localhost/x`,
      CLAUDECODE: canary,
      CLAUDE_CODE_ENTRYPOINT: canary,
      ANTHROPIC_CUSTOM_HEADERS: `x-canary: ${canary}`,
      ANTHROPIC_MODEL: canary,
      HTTPS_PROXY: `http://${canary}.invalid:1`,
      LD_LIBRARY_PATH: `/${canary}`,
      NODE_OPTIONS: `--title=${canary}`,
    },
  })
  client = await server.client()
})
afterAll(() => server?.stop())

/** Runs a command in a session of its own, allowed. */
const bash = async (command: string): Promise<string> => {
  const { id } = await client.sessions.create()
  const session = client.session(id)
  const turn = session.execute(`@bash(${command})`)
  await client.approvals.answer((await pendingApproval(session)).approvalId, { decision: 'allow' })
  await turn.complete()
  const result = (await logOf(client, id)).find((message) => message.type === 'tool_result')
  await session.close()
  return typeof result?.content === 'string' ? result.content : ''
}

/** All that may be set for a child, by us and by claude for its tools. */
const allowed =
  /^(AICM_PROCESS|PATH|HOME|TMPDIR|TMPPREFIX|USER|LOGNAME|SHELL|SHLVL|LANG|TERM|PWD|OLDPWD|_|ANTHROPIC_(UNIX_SOCKET|BASE_URL|API_KEY)|CLAUDE_[A-Z_]+|CLAUDECODE|DISABLE_[A-Z_]+|COREPACK_[A-Z_]+|GIT_[A-Z_]+|NoDefaultCurrentDirectoryInExePath|AI_AGENT|TRACEPARENT|MALLOC_[A-Z_]+)$/

test('no variable of the server reaches claude, whatever it is called', async () => {
  const { id } = await client.sessions.create()
  await client.session(id).execute('@text(hello)').complete()
  const { all } = server.sessionProcesses(id)
  expect(all.length).toBeGreaterThan(0)
  for (const { environment, argv } of all) {
    const names = environment.map((variable) => variable.slice(0, variable.indexOf('=')))
    expect(names.filter((name) => !allowed.test(name))).toEqual([])
    for (const secret of [canary, server.password]) {
      expect(environment.join('\n')).not.toContain(secret)
      expect(argv.join('\n')).not.toContain(secret)
    }
  }
  // The broker too is started with what it needs only.
  const broker = await until('the broker runs', () => server.brokerPid())
  const { readFileSync } = await import('node:fs')
  expect(readFileSync(`/proc/${broker}/environ`, 'utf8')).not.toContain(canary)
  expect(readFileSync(`/proc/${broker}/environ`, 'utf8')).not.toContain(server.password)
})

test('nor what claude runs', async () => {
  const output = await bash('touch asked; env')
  expect(output).toContain('HOME=')
  expect(output).not.toContain(canary)
  expect(output).not.toContain(server.password)
  const names = output.split('\n').flatMap((line) => /^([A-Za-z_]\w*)=/.exec(line)?.[1] ?? [])
  expect(names.filter((name) => !allowed.test(name))).toEqual([])
})

requires(
  'claude',
  'linux',
  'bwrap',
)('in a sandbox it sees neither the server, nor its files, nor its neighbours', async () => {
  expect((await client.health()).isolation.level).toBe('sealed')
  const output = await bash("touch asked; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
  expect(output).toContain('AICM_PROCESS=')
  expect(output).not.toContain(canary)
  expect(output).not.toContain('--data-dir')
  const files = await bash(`touch asked; ls -a ${server.dataDir} ${server.dataDir}/.. /tmp /root /home 2>&1`)
  for (const name of ['aicm.db', 'jwt.key', 'server.log', 'token.key', 'kv']) expect(files).not.toContain(name)
  const broken = await bash(
    `touch asked; for f in ${server.dataDir}/jwt.key ${server.dataDir}/aicm.db ${server.dataDir}/broker/token.key ${server.dataDir}/broker/control.sock /etc/shadow; do test -e $f && echo sees $f; done; echo looked`,
  )
  expect(broken.trim()).toBe('looked')
  // Its own program is there and cannot be changed.
  expect(await bash(`touch asked; chmod 777 ${realpathSync(server.program)} 2>&1`)).toMatch(
    /read-only|permission denied/i,
  )
})
