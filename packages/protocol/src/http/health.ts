import { Type, type Static } from 'typebox'
import { route } from '../route.ts'

const Ok = Type.Object({ status: Type.Literal('ok') })

export const Health = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('degraded')]),
  reasons: Type.Array(Type.String(), { description: 'Why it is degraded, one sentence each' }),
  version: Type.String(),
  uptimeSeconds: Type.Number(),
  claude: Type.Object({
    path: Type.Union([Type.String(), Type.Null()]),
    version: Type.Union([Type.String(), Type.Null()]),
    error: Type.Union([Type.String(), Type.Null()]),
  }),
  modelApi: Type.Object({
    mode: Type.Union([Type.Literal('live'), Type.Literal('demo')]),
    upstream: Type.String(),
    credential: Type.Union([
      Type.Literal('none'),
      Type.Literal('api-key'),
      Type.Literal('auth-token'),
      Type.Literal('oauth-token'),
    ]),
    broker: Type.Union([Type.Literal('up'), Type.Literal('down')]),
  }),
  isolation: Type.Object({
    level: Type.Union([Type.Literal('process'), Type.Literal('sandbox')]),
    missing: Type.Array(Type.String(), { description: 'What a stronger level would need' }),
  }),
  storage: Type.Object({ database: Type.String(), keyValue: Type.String(), schemaVersion: Type.String() }),
  sessions: Type.Object({ total: Type.Integer(), running: Type.Integer(), processes: Type.Integer() }),
})
export type Health = Static<typeof Health>

export const healthRoutes = {
  live: route({
    id: 'healthz',
    method: 'GET',
    path: '/healthz',
    summary: 'The server process answers',
    tag: 'health',
    auth: 'none',
    status: 200,
    response: Ok,
  }),
  ready: route({
    id: 'readyz',
    method: 'GET',
    path: '/readyz',
    summary: 'The server takes requests',
    tag: 'health',
    auth: 'none',
    status: 200,
    response: Ok,
  }),
  health: route({
    id: 'health',
    method: 'GET',
    path: '/v1/health',
    summary: 'What the server runs on, and what is wrong with it',
    tag: 'health',
    auth: 'bearer',
    status: 200,
    response: Health,
  }),
} as const
