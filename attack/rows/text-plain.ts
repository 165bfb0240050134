import { allRoutes, pathWith, unknownId, validBody } from '../../e2e/lib/routes.ts'
import type { Row } from '../lib/row.ts'

/** What a form or a script of another page may send without asking first, and what only looks like JSON. */
const types = [
  'text/plain',
  'text/plain;charset=utf-8',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain; application/json',
  'text/json',
  'application/jsonp',
  'application/json-patch+json',
  'application/json, text/plain',
  '',
]

export const textPlain: Row = {
  name: 'text-plain',
  title: 'POST as text/plain, as a form or as something like JSON, from another page and from none',
  expected: '415, or 403 by its Origin; no state changed',
  run: async (attack, attempt) => {
    const { ask, alice } = await attack.shared()
    const sessions = async () => (await alice.client.sessions.list({ limit: 200 })).sessions.length
    const before = await sessions()
    for (const route of allRoutes.filter(({ body }) => body !== undefined))
      for (const type of types) {
        const { method } = route
        const options = { method, token: alice.token, body: JSON.stringify(validBody(route)) }
        const call = async (headers: Record<string, string>) =>
          (await ask(pathWith(route, unknownId(route)), { ...options, headers: { 'content-type': type, ...headers } }))
            .seen
        const name = `${method} ${route.path} as ${JSON.stringify(type)}`
        attempt(name, '415', await call({}))
        attempt(`${name} from another page`, '403', await call({ origin: 'https://evil.example' }))
      }
    attempt('sessions made by all of that', '0', `${(await sessions()) - before}`)
  },
}
