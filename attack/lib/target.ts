import { createClient, type Client } from '@aicm/client'
import type { Tokens, User } from '@aicm/protocol'
import { addUser } from '@aicm/testing/add-user'
import type { Program } from '../../bench/lib/fake-claude.ts'
import { realClaude } from '../../bench/lib/programs.ts'
import { adminPassword } from '../../bench/lib/server.ts'
import { openServer, type Life, type MortalServer } from '../../chaos/lib/server.ts'
import type { Attack } from './row.ts'
import { send, type Answer, type Ask } from './http.ts'

export type Person = { username: string; password: string; userId: string; token: string; client: Client }

/** The built server with two users: alice runs it, bob is a member. */
export type Target = {
  server: MortalServer
  url: string
  dataDir: string
  alice: Person
  bob: Person
  /** A request; with whose token is said in it. */
  ask(path: string, ask?: Ask): Promise<Answer>
  /** Logs both in again when it was a while ago: a run takes longer than a token lives. */
  renew(): Promise<void>
  /** Nothing when somebody else can still use the server, else what went wrong. */
  serves(): Promise<string>
}

export type TargetOptions = { flags?: readonly string[]; life?: Life; claude?: Program }

/** An access token, as people have one: it tells more about itself than an API key does. */
const logIn = async (url: string, username: string, password: string): Promise<string> => {
  const { body, seen } = await send(url, '/v1/auth/login', { method: 'POST', body: { username, password } })
  if (!seen.startsWith('200')) throw new Error(`${username} could not log in: ${seen}`)
  return (body as Tokens).accessToken
}

const renewMs = 5 * 60_000
const bobsPassword = 'the second user of an attack'

export const openTarget = async (
  attack: Pick<Attack, 'scope' | 'quick' | 'serverProgram'>,
  { flags = [], life = {}, claude = realClaude() }: TargetOptions = {},
): Promise<Target & AsyncDisposable> => {
  await using opened = new AsyncDisposableStack()
  const server = opened.use(await openServer({ ...attack, orphans: [] }, claude, flags))
  await server.begin(life)
  await addUser({ url: server.url, token: server.token() }, { username: 'bob', password: bobsPassword })

  const person = async (username: string, password: string): Promise<Person> => {
    const token = await logIn(server.url, username, password)
    const client = createClient({ url: server.url, getToken: () => somebody.token })
    opened.defer(async () => client.close())
    const { id } = await server.call<User>('GET', '/v1/auth/me', undefined, token)
    const somebody: Person = { username, password, token, client, userId: id }
    return somebody
  }
  const [alice, bob] = [await person('admin', adminPassword), await person('bob', bobsPassword)]
  let renewed = performance.now()
  const ask: Target['ask'] = (path, options) => send(server.url, path, options)
  const resources = opened.move()
  return {
    ...{ server, url: server.url, dataDir: server.dataDir, alice, bob, ask },
    renew: async () => {
      if (performance.now() - renewed < renewMs) return
      for (const one of [alice, bob]) one.token = await logIn(server.url, one.username, one.password)
      renewed = performance.now()
    },
    serves: async () => {
      const [live, me] = [await ask('/healthz'), await ask('/v1/auth/me', { token: bob.token })]
      return live.status === 200 && me.status === 200 ? 'served' : `${live.seen}, ${me.seen}`
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
