import { brokerControl } from '@aicm/broker'
import { join } from 'node:path'
import { removeGroups } from '@aicm/testing/groups'
import { until } from '@aicm/testing/until'
import type { Health, Session } from '@aicm/protocol'
import { firstMatch, startChild } from './child.ts'
import type { Program } from './fake-claude.ts'
import { temporaryFolder } from './folder.ts'
import { processesWith } from './process-figures.ts'
import { node, plainEnvironment } from './programs.ts'
import type { Bench } from './row.ts'

export const adminPassword = 'bench-password'

export type Server = AsyncDisposable & {
  pid: number
  url: string
  dataDir: string
  token: string
  /** A JSON request. Rejects with what the server says when it refuses. */
  call<T>(method: string, path: string, body?: unknown): Promise<T>
  /** A new session whose process takes prompts. */
  readySession(): Promise<Session>
}

/** What the server leaves behind on purpose, its sessions' processes and its broker, ends here. */
export const endLeftovers = async (dataDir: string): Promise<void> => {
  for (const pid of processesWith(`HOME=${dataDir}/`)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  await brokerControl(join(dataDir, 'broker'))
    .stop()
    .catch(() => undefined)
  await until('its groups are gone', () => removeGroups(dataDir))
}

export const serverCommand = (
  bench: Bench,
  options: { dataDir: string; claude: Program; flags?: readonly string[]; imports?: readonly string[] },
) => ({
  argv: [
    node,
    ...(options.imports ?? []),
    ...bench.serverProgram,
    ...['--port', '0', '--model-api', 'demo', '--rate-limit', 'off', '--quota', 'off'],
    ...['--data-dir', options.dataDir, '--claude', options.claude.path, '--warm-min', '0'],
    ...options.claude.flags,
    ...(options.flags ?? []),
  ] as const satisfies string[],
  env: { ...plainEnvironment(options.dataDir), AICM_ADMIN_PASSWORD: adminPassword, NODE_NO_WARNINGS: '1' },
})

/** A request with its answer, or the refusal as an error. */
const request = async <T>(url: string, init: RequestInit): Promise<T> => {
  const response = await fetch(url, init)
  const text = await response.text()
  if (!response.ok) throw new Error(`${init.method} ${url}: ${response.status} ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

const json = { 'content-type': 'application/json' }

/** The server as its users start it: a process of its own, in a new data folder, with a minimal environment. */
export const startServer = async (
  bench: Bench,
  claude: Program,
  more: { flags?: readonly string[]; imports?: readonly string[] } = {},
): Promise<Server> => {
  await using started = new AsyncDisposableStack()
  const folder = started.use(await temporaryFolder(bench.scope))
  const dataDir = folder.path
  started.use(bench.scope.own(() => endLeftovers(dataDir)))
  const { argv, env } = serverCommand(bench, { dataDir, claude, ...more })
  const child = started.use(await startChild(bench.scope, { argv, env }))
  const url = await firstMatch(child, /listens on (\S+)/)
  const { accessToken: token } = await request<{ accessToken: string }>(`${url}/v1/auth/login`, {
    method: 'POST',
    headers: json,
    body: JSON.stringify({ username: 'admin', password: adminPassword }),
  })

  const call: Server['call'] = (method, path, body) =>
    request(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : json) },
      body: body === undefined ? undefined : JSON.stringify(body),
    })

  const readySession = async (): Promise<Session> => {
    const { id } = await call<Session>('POST', '/v1/sessions', {})
    while (true) {
      const session = await call<Session>('GET', `/v1/sessions/${id}`)
      if (session.process === 'ready') return session
      if (session.status !== 'creating') throw new Error(`The session is ${session.status}: ${session.reason}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  // Answered when the start's own probes are done: they must not run into a measurement.
  while ((await call<Health>('GET', '/v1/health')).modelApi.broker === 'down')
    await new Promise((resolve) => setTimeout(resolve, 20))
  const resources = started.move()
  return {
    pid: child.pid,
    url,
    dataDir,
    token,
    call,
    readySession,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
