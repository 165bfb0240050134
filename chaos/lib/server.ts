import { join } from 'node:path'
import { permissionsOfRole, type Session, type Tokens, type User } from '@aicm/protocol'
import { freePort } from '@aicm/testing/run-server'
import { firstMatch, startChild, type Child } from '../../bench/lib/child.ts'
import type { Program } from '../../bench/lib/fake-claude.ts'
import { temporaryFolder } from '../../bench/lib/folder.ts'
import { processesWith } from '../../bench/lib/process-figures.ts'
import { adminPassword, endLeftovers, serverCommand } from '../../bench/lib/server.ts'
import type { Chaos } from './trial.ts'
import { wait } from './wait.ts'

/** The server answered, and its answer is no. */
export class Refused extends Error {
  readonly status: number

  constructor(status: number, text: string) {
    super(`${status} ${text}`)
    this.status = status
  }
}

/** How one life of the server is started: other arguments for its Node, more of an environment, a command that runs its command. */
export type Life = {
  nodeArguments?: readonly string[]
  env?: Record<string, string>
  around?(command: readonly string[]): readonly [string, ...string[]]
}

/** A server that is killed and started again on the same folder and port. */
export type MortalServer = AsyncDisposable & {
  readonly url: string
  readonly dataDir: string
  /** Of the admin; good in every life. */
  token(): string
  pid(): number
  /** The home of a user's sessions; of the admin's when it is not said whose. */
  home(userId?: string): string
  /** Its first life that is ready: logs in, and puts there what the stand-in for claude needs. */
  begin(life?: Life): Promise<void>
  /** Starts a process. `ready` resolves with the milliseconds until it answered /readyz, rejects when it ended before. */
  start(life?: Life): Promise<{ ready: Promise<number>; exited: Promise<number | null> }>
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>
  /** A JSON request to whichever server there is, `as` the admin or with another's token. Rejects with Refused, or when nobody answers. */
  call<T>(method: string, path: string, body?: unknown, as?: string): Promise<T>
  /** Repeated until a server has answered: for what may be asked twice. */
  insist<T>(method: string, path: string, body?: unknown, as?: string): Promise<T>
  /** Closes all sessions of all these users (of the admin), and notes how many processes of any session are left after a while. */
  closeSessions(...tokens: string[]): Promise<void>
}

const retryMs = 15
const patienceMs = 60_000
const requestTimeoutMs = 60_000
/** A closed session's process has five seconds for its end. */
const endOfProcessesMs = 15_000

const json = { 'content-type': 'application/json' }

const request = async <T>(url: string, token: string, method: string, body?: unknown): Promise<T> => {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : json) },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(requestTimeoutMs),
  })
  const text = await response.text()
  if (!response.ok) throw new Refused(response.status, `${method} ${url}: ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}

/** Logs in, and resolves with an API key that may do all that its user may: a run is longer than an access token's life. */
export const logIn = async (url: string, username: string, password: string): Promise<string> => {
  const { accessToken } = await request<Tokens>(`${url}/v1/auth/login`, '', 'POST', { username, password })
  const { role } = await request<User>(`${url}/v1/auth/me`, accessToken, 'GET')
  const permissions = permissionsOfRole[role].filter((permission) => permission !== 'account.write')
  return (await request<{ key: string }>(`${url}/v1/keys`, accessToken, 'POST', { name: 'chaos', permissions })).key
}

/** A place for the bundled server as its users start it: a new data folder, a port. `begin` starts it there. */
export const openServer = async (
  chaos: Pick<Chaos, 'scope' | 'quick' | 'serverProgram' | 'orphans'>,
  claude: Program,
  flags: readonly string[] = [],
): Promise<MortalServer> => {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await temporaryFolder(chaos.scope))
  const dataDir = folder.path
  opened.use(chaos.scope.own(() => endLeftovers(dataDir)))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const { argv, env } = serverCommand(chaos, { dataDir, claude, flags })
  let child: Child | undefined
  let token = ''
  let userId = ''

  const start: MortalServer['start'] = async (life = {}) => {
    const [node = '', ...args] = argv
    const begun = performance.now()
    const command = [node, ...(life.nodeArguments ?? []), ...args, '--port', `${port}`] as const
    const born = await startChild(chaos.scope, {
      argv: life.around?.(command) ?? command,
      env: { ...env, ...life.env },
    })
    child = born
    const ready = firstMatch(born, /listens on (\S+)/)
      .then(() => fetch(`${url}/readyz`))
      .then(async (response) => {
        await response.text()
        return performance.now() - begun
      })
    // Whoever kills it does not wait for it.
    ready.catch(() => undefined)
    return { ready, exited: born.exited }
  }

  const kill = async (): Promise<void> => {
    const dying = child
    if (dying === undefined) return
    child = undefined
    try {
      process.kill(dying.pid, 'SIGKILL')
    } catch {
      // It was quicker.
    }
    await dying[Symbol.asyncDispose]()
  }
  opened.defer(kill)

  const call: MortalServer['call'] = (method, path, body, as = token) => request(`${url}${path}`, as, method, body)

  const insist: MortalServer['insist'] = async (method, path, body, as) => {
    const deadline = performance.now() + patienceMs
    while (true) {
      try {
        return await call(method, path, body, as)
      } catch (error) {
        const final = error instanceof Refused && error.status < 500 && error.status !== 429
        if (final || performance.now() > deadline) throw error
        await wait(retryMs)
      }
    }
  }

  const closeAll = async (owner: string): Promise<void> => {
    type Page = { sessions: Session[]; nextCursor: string | null }
    let after = ''
    while (true) {
      const page: Page = await insist('GET', `/v1/sessions?limit=200${after}`, undefined, owner)
      for (const { id, status } of page.sessions)
        if (status !== 'closed') await insist('POST', `/v1/sessions/${id}/close`, undefined, owner)
      if (page.nextCursor === null) return
      after = `&cursor=${encodeURIComponent(page.nextCursor)}`
    }
  }

  const closeSessions: MortalServer['closeSessions'] = async (...tokens) => {
    for (const owner of tokens.length > 0 ? tokens : [token]) await closeAll(owner)
    const deadline = performance.now() + endOfProcessesMs
    let left = processesWith(`HOME=${dataDir}/`)
    while (left.length > 0 && performance.now() < deadline) {
      await wait(50)
      left = processesWith(`HOME=${dataDir}/`)
    }
    chaos.orphans.push(left.length)
  }

  const begin = async (life?: Life): Promise<void> => {
    await (
      await start(life)
    ).ready
    token = await logIn(url, 'admin', adminPassword)
    userId = (await call<User>('GET', '/v1/auth/me')).id
  }

  const home = (id = userId): string => join(dataDir, 'users', id, 'home')

  const resources = opened.move()
  return {
    url,
    dataDir,
    token: () => token,
    pid: () => child?.pid ?? -1,
    home,
    begin,
    start,
    kill,
    call,
    insist,
    closeSessions,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
