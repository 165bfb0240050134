import { Type, type Static } from 'typebox'
import { route } from '../route.ts'

const Ok = Type.Object({ status: Type.Literal('ok') })

/** The short form, which is also sent over every WebSocket. */
export const HealthStatus = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('degraded')]),
  reasons: Type.Array(Type.String(), { description: 'Why it is degraded, one sentence each' }),
})
export type HealthStatus = Static<typeof HealthStatus>

export const MemoryPressure = Type.Union([Type.Literal('none'), Type.Literal('some'), Type.Literal('high')])
export type MemoryPressure = Static<typeof MemoryPressure>

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

const Psi = (resource: string) =>
  nullable(
    Type.Number({
      description: `Percent of the last 10 s in which something waited for ${resource}; null where unknown`,
    }),
  )

const Breaker = Type.Union([Type.Literal('closed'), Type.Literal('open'), Type.Literal('half-open')])

export const IsolationLevel = Type.Union([
  Type.Literal('none'),
  Type.Literal('process'),
  Type.Literal('sandbox'),
  Type.Literal('sealed'),
])
export type IsolationLevel = Static<typeof IsolationLevel>

/** What is proven to work on this server: each part was tried at its start. */
export const Isolation = Type.Object({
  level: IsolationLevel,
  wanted: IsolationLevel,
  uidPerUser: Type.Boolean({ description: "Whether each user's sessions run as a user of the system of their own" }),
  limits: Type.Union([Type.Literal('none'), Type.Literal('rlimit'), Type.Literal('cgroup1'), Type.Literal('cgroup2')], {
    description: 'What holds a session to its memory, CPUs and processes',
  }),
  kill: Type.Union([Type.Literal('group'), Type.Literal('pidns'), Type.Literal('cgroup')], {
    description: 'What ends all that a session has started',
  }),
  credentials: Type.Union([Type.Literal('in-child'), Type.Literal('broker')], {
    description: 'Who holds the credential for the model API',
  }),
  missing: Type.Array(
    Type.Object({
      part: Type.String({ description: 'What is not there' }),
      error: Type.String({ description: 'What was said when it was tried' }),
      fix: Type.String({ description: 'How to get it' }),
    }),
  ),
})
export type Isolation = Static<typeof Isolation>

export const Health = Type.Object({
  ...HealthStatus.properties,
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
    reachable: nullable(
      Type.Boolean({ description: 'Whether the broker could connect, at most 30 s ago; null where it is not known' }),
    ),
    error: nullable(Type.String({ description: 'Why it could not' })),
    credentials: Type.Array(
      Type.Object({
        id: Type.String(),
        kind: Type.String(),
        state: Type.Enum(['ready', 'resting', 'auth_required', 'failing']),
        until: nullable(Type.String()),
        active: Type.Integer({ description: 'Calls under way' }),
        waiting: Type.Integer({ description: 'Calls that wait for one of them to end' }),
      }),
      { description: 'The shared ones' },
    ),
    brokerRestarts: Type.Integer({ description: 'How often this server had to start the broker again' }),
  }),
  blocked: Type.Optional(
    Type.Array(Type.Object({ source: Type.String(), seconds: Type.Integer() }), {
      description: 'For administrators: addresses, users and keys that are not served for a while, a hundred at most',
    }),
  ),
  isolation: Isolation,
  storage: Type.Object({
    database: Type.String(),
    keyValue: Type.String(),
    schemaVersion: Type.String(),
    writable: Type.Boolean({ description: 'Whether a small write was made durable and could be read again' }),
    error: nullable(Type.String()),
  }),
  system: Type.Object({
    cpu: Type.Object({
      count: Type.Integer(),
      load: Type.Number({ description: 'Of the last minute' }),
      waiting: Psi('a CPU'),
    }),
    memory: Type.Object({
      availableBytes: Type.Number({ description: 'For new processes, within the limits of the cgroups' }),
      totalBytes: Type.Number(),
      pressure: MemoryPressure,
      waiting: Psi('memory'),
    }),
    disk: Type.Object(
      {
        availableBytes: nullable(Type.Number()),
        totalBytes: nullable(Type.Number()),
        waiting: Psi('the disk'),
      },
      { description: 'Of the data folder' },
    ),
  }),
  breakers: Type.Object(
    { storage: Breaker, claude: Breaker, modelApi: Breaker },
    { description: 'Open: what failed several times in a row is left alone for a while, and new work refused' },
  ),
  sessions: Type.Object({
    total: Type.Integer(),
    running: Type.Integer(),
    processes: Type.Integer(),
    spares: Type.Integer({ description: 'Of the processes, those that were started ahead' }),
    waiting: Type.Integer({ description: 'Sessions that wait for room for a process' }),
    diverted: Type.Integer({ description: 'Sessions whose newest messages are in the fallback store only' }),
  }),
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
  metrics: route({
    id: 'metrics',
    method: 'GET',
    path: '/metrics',
    summary: 'Figures for Prometheus',
    tag: 'health',
    auth: 'server.read',
    status: 200,
    response: Type.String({ description: 'In the text format of Prometheus' }),
  }),
  health: route({
    id: 'health',
    method: 'GET',
    path: '/v1/health',
    summary: 'What the server runs on, and what is wrong with it',
    tag: 'health',
    auth: 'server.read',
    status: 200,
    response: Health,
  }),
} as const
