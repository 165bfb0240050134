import { Type, type Static } from 'typebox'
import { AuditEntry, AuditHead, AuditResult } from '../audit-entry.ts'
import { Seq } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

const word = Type.String({ minLength: 1, maxLength: 200 })
const time = Type.String({
  pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,3})?Z$',
  description: '2026-03-01T12:00:00Z',
})
const filter = {
  after: Type.Optional(Seq),
  before: Type.Optional(Seq),
  userId: Type.Optional(word),
  username: Type.Optional(word),
  action: Type.Optional(word),
  target: Type.Optional(word),
  result: Type.Optional(AuditResult),
  from: Type.Optional(time),
  to: Type.Optional(time),
}

export const AuditCheck = Type.Object({
  checked: Type.Integer({ description: 'Entries that were good' }),
  head: AuditHead,
  broken: Type.Union([Type.Object({ seq: Seq, reason: Type.String() }), Type.Null()]),
  done: Type.Boolean({ description: 'False: there is more behind `head.seq`' }),
})
export type AuditCheck = Static<typeof AuditCheck>

const tag = 'audit'

export const auditRoutes = {
  list: route({
    id: 'listAudit',
    method: 'GET',
    path: '/v1/audit',
    summary: 'Read the audit log',
    description:
      'Oldest first from behind `after`, or with order=newest backwards from before `before`. `next` is the cursor of the next page: as `after`, or as `before`.',
    tag,
    auth: 'audit.read',
    query: strict({
      ...filter,
      order: Type.Optional(Type.Union([Type.Literal('oldest'), Type.Literal('newest')])),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 2000, default: 100 })),
    }),
    status: 200,
    response: Type.Object({ entries: Type.Array(AuditEntry), next: Type.Union([Seq, Type.Null()]) }),
  }),
  export: route({
    id: 'exportAudit',
    method: 'GET',
    path: '/v1/audit/export',
    summary: 'Export the audit log',
    description:
      'Streams what matches, oldest first: one JSON entry a line, or CSV. Without a filter it is a whole chain, which `aicm audit verify --file` checks.',
    tag,
    auth: 'audit.read',
    query: strict({
      ...filter,
      format: Type.Optional(Type.Union([Type.Literal('ndjson'), Type.Literal('csv')])),
    }),
    status: 200,
  }),
  head: route({
    id: 'getAuditHead',
    method: 'GET',
    path: '/v1/audit/head',
    summary: 'Where the audit log ends',
    description:
      'Whoever writes `seq` and `hash` down elsewhere can tell later that nothing up to there was changed or cut off. `anchor` is what the server has noted outside of the database.',
    tag,
    auth: 'audit.read',
    status: 200,
    response: Type.Object({ ...AuditHead.properties, anchor: Type.Union([AuditHead, Type.Null()]) }),
  }),
  verify: route({
    id: 'verifyAudit',
    method: 'GET',
    path: '/v1/audit/verify',
    summary: 'Have the server check its audit log',
    description:
      'Checks up to `limit` entries behind `after`, whose hash is taken as it is. `aicm audit verify` does the same without trusting the server.',
    tag,
    auth: 'audit.read',
    query: strict({
      after: Type.Optional(Seq),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, default: 10_000 })),
    }),
    status: 200,
    response: AuditCheck,
  }),
} as const
