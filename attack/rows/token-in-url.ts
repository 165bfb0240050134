import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { NotUpgraded, upgradeLines, upgradeWith } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import type { Target } from '../lib/target.ts'

/** Names of what would work in place of a person. */
const logs = (dataDir: string): string[] =>
  readdirSync(dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.log(\.\d+)?$/.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => statSync(path).size > 0)

const upgrade = async ({ url }: Target, query: string, token?: string): Promise<string> => {
  const authorization = token === undefined ? undefined : `Bearer ${token}`
  try {
    using _ = await upgradeWith(url, upgradeLines(url, '', { authorization }, `GET /v1/ws${query} HTTP/1.1`))
    return '101'
  } catch (error) {
    return error instanceof NotUpgraded ? error.seen : String(error)
  }
}

const ticketLifeMs = 30_000

export const tokenInUrl: Row = {
  name: 'token-in-url',
  title: 'a token in a URL; a ticket used twice, late, or for something else; secrets in a log',
  expected: 'refused; one use in 30 s; no secret in any log',
  run: async (attack, attempt) => {
    await using target = await attack.own({ flags: ['--log-level', 'debug'] })
    const { ask, alice, bob, dataDir } = target
    const ticket = async () =>
      ((await ask('/v1/auth/ticket', { method: 'POST', token: bob.token })).body as { ticket: string }).ticket
    const late = { ticket: await ticket(), made: performance.now() }
    const secrets = [alice.token, bob.token, alice.password, bob.password, late.ticket]
    for (const key of ['token', 'access_token', 'authorization', 'jwt', 'api_key', 'ticket']) {
      const query = `?${key}=${alice.token}`
      attempt(`GET /v1/sessions${query.slice(0, 12)}…`, '401', (await ask(`/v1/sessions${query}`)).seen)
      attempt(`an upgrade with ${key} in its query`, '400 or 401', await upgrade(target, query))
      if (key !== 'ticket') attempt(`with ${key} beside a good token`, '400', await upgrade(target, query, alice.token))
    }
    const first = await ticket()
    secrets.push(first)
    attempt('a ticket as a Bearer token', '401', (await ask('/v1/sessions', { token: first })).seen)
    attempt('a ticket in the query of a route', '401', (await ask(`/v1/sessions?ticket=${first}`)).seen)
    attempt('a ticket', '101', await upgrade(target, `?ticket=${first}`))
    attempt('a ticket again', '401', await upgrade(target, `?ticket=${first}`))
    const raced = await ticket()
    const races = await Promise.all(Array.from({ length: 20 }, () => upgrade(target, `?ticket=${raced}`)))
    attempt('a ticket twenty times at once', '1', `${races.filter((seen) => seen === '101').length}`)
    attempt('two tickets', '400 or 401', await upgrade(target, `?ticket=${await ticket()}&ticket=${await ticket()}`))
    if (attack.size === 'full') {
      const left = ticketLifeMs + 1000 - (performance.now() - late.made)
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)))
      attempt('a ticket after 30 seconds', '401', await upgrade(target, `?ticket=${late.ticket}`))
    }
    await alice.client.run('@text(hello)')
    for (const path of logs(dataDir)) {
      const text = readFileSync(path, 'latin1')
      const told = secrets.filter((secret) => text.includes(secret)).length
      attempt(`secrets in ${path.slice(dataDir.length + 1)}`, '0', `${told}`)
    }
  },
}
