import { Type, type Static, type TSchema } from 'typebox'
import { UserId } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()])

/** What one user may have at a time. */
export const quotaNames = ['sessions', 'processes', 'prompts', 'connections', 'bytes'] as const
export type QuotaName = (typeof quotaNames)[number]

const most = Type.Optional(
  nullable(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: 'Null: as much as they like' })),
)

/** Where a user's quotas differ from the server's. */
export const QuotaChanges = strict({
  sessions: most,
  processes: most,
  prompts: most,
  connections: most,
  bytes: most,
})
export type QuotaChanges = Static<typeof QuotaChanges>

const Quota = (description: string) =>
  Type.Object(
    {
      limit: nullable(Type.Integer({ description: 'Null: none' })),
      used: nullable(Type.Integer({ description: 'Null: not measured yet' })),
    },
    { description },
  )

export const Quotas = Type.Object({
  sessions: Quota('Sessions that are not closed'),
  processes: Quota('Live claude processes; more wait'),
  prompts: Quota('Prompts that wait behind running ones'),
  connections: Quota('Open WebSockets, event streams and requests that wait for a turn'),
  bytes: Quota('Log and workspaces, as last measured'),
})
export type Quotas = Static<typeof Quotas>

/** As administrators see them. */
const UserQuotas = Type.Object({ ...Quotas.properties, changes: QuotaChanges })

const params = strict({ id: UserId })
const tag = 'users'

export const quotaRoutes = {
  mine: route({
    id: 'quotas',
    method: 'GET',
    path: '/v1/quotas',
    summary: 'What you have, and what you may have',
    tag: 'auth',
    auth: 'token',
    status: 200,
    response: Quotas,
  }),
  get: route({
    id: 'getQuotas',
    method: 'GET',
    path: '/v1/users/:id/quotas',
    summary: "Show a user's quotas",
    tag,
    auth: 'users.manage',
    params,
    status: 200,
    response: UserQuotas,
  }),
  set: route({
    id: 'setQuotas',
    method: 'PUT',
    path: '/v1/users/:id/quotas',
    summary: "Set a user's quotas",
    description: "Replaces what was set before: what is left out is the server's default again, null is no limit.",
    tag,
    auth: 'users.manage',
    params,
    body: QuotaChanges,
    status: 200,
    response: UserQuotas,
  }),
} as const
