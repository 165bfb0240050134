import type { Route } from '@aicm/protocol'
import { allRoutes, pathWith, unknownId, validBody } from '../../e2e/lib/routes.ts'
import { NotUpgraded, upgradeLines, upgradeWith } from '../lib/frames.ts'
import type { Ask } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'

const closedRoutes = allRoutes.filter(({ auth }) => auth !== 'none')

const bad: [string, Ask][] = [
  ['no token', {}],
  ['an empty one', { headers: { authorization: 'Bearer ' } }],
  ['garbage', { token: 'garbage' }],
  ['Basic', { headers: { authorization: `Basic ${btoa('admin:admin')}` } }],
  ['a cookie', { headers: { cookie: 'token=x; session=x' } }],
  ['a forwarded loopback', { headers: { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1' } }],
  ['a user in a header', { headers: { 'x-forwarded-user': 'admin', 'x-remote-user': 'admin' } }],
  ['another method in a header', { headers: { 'x-http-method-override': 'GET' } }],
]

export const noToken: Row = {
  name: 'no-token',
  title: 'every endpoint and upgrade without a token, from 127.0.0.1 too',
  expected: '401 before any work',
  run: async (attack, attempt) => {
    const { ask, url, alice } = await attack.shared()
    const call = (route: Route, options: Ask) =>
      ask(pathWith(route, unknownId(route)), {
        method: route.method,
        ...(route.body === undefined ? {} : { body: validBody(route) }),
        ...options,
      })
    for (const route of closedRoutes)
      for (const [name, options] of bad)
        attempt(`${route.method} ${route.path} with ${name}`, '401', (await call(route, options)).seen)
    for (const route of closedRoutes.filter(({ body }) => body !== undefined))
      // Nothing of the body is looked at before the token.
      for (const body of ['{', 'x'.repeat(2_000_000)])
        attempt(
          `${route.method} ${route.path} with a bad body of ${body.length} bytes`,
          '401',
          (await call(route, { body })).seen,
        )
    attempt('GET /v1/nothing', '401', (await ask('/v1/nothing')).seen)
    for (const [name, changes] of [
      ['no token', {}],
      ['garbage', { authorization: 'Bearer garbage' }],
      ['two tokens', { authorization: `Bearer garbage, Bearer ${alice.token}` }],
    ] as const) {
      const upgraded = await upgradeWith(url, upgradeLines(url, '', { authorization: undefined, ...changes })).then(
        (socket) => {
          socket[Symbol.dispose]()
          return '101'
        },
        (error: unknown) => (error instanceof NotUpgraded ? error.seen : String(error)),
      )
      attempt(`an upgrade with ${name}`, '401', upgraded)
    }
  },
}
