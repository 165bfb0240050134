import { Type, type Static } from 'typebox'
import { ContentBlock } from '../content.ts'
import { Seq, SessionId, Time, TurnId, WorkspaceId } from '../ids.ts'
import { Message } from '../message.ts'
import { CompleteMessage, Usage } from '../messages/complete.ts'
import { SessionStatus } from '../messages/status.ts'
import { route } from '../route.ts'
import { CursorText, SlowPolicy } from '../stream.ts'
import { Budget } from './budgets.ts'
import { Name, PageCursor, strict } from './common.ts'
import { ResourceLimits, SessionLimits } from './limits.ts'
import { SharedBy } from './shares.ts'

export const PermissionMode = Type.Union([
  Type.Literal('default'),
  Type.Literal('acceptEdits'),
  Type.Literal('plan'),
  Type.Literal('dontAsk'),
])
export type PermissionMode = Static<typeof PermissionMode>

export const ProcessState = Type.Union([
  Type.Literal('none'),
  Type.Literal('starting'),
  Type.Literal('ready'),
  Type.Literal('stopping'),
])
export type ProcessState = Static<typeof ProcessState>

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

export const Session = Type.Object({
  id: SessionId,
  name: Type.String(),
  workspaceId: WorkspaceId,
  owner: nullable(SharedBy),
  model: nullable(Type.String()),
  permissionMode: PermissionMode,
  systemPrompt: nullable(Type.String()),
  maxTurns: nullable(Type.Integer()),
  status: SessionStatus,
  reason: nullable(Type.String({ description: 'Why it is in error or closed' })),
  process: ProcessState,
  generation: Type.Integer({ description: 'How many processes it has had' }),
  turnId: nullable(TurnId),
  queued: Type.Integer({ description: 'Prompts waiting behind the running one' }),
  awaiting: Type.Integer({ description: 'Open approvals' }),
  lastSeq: Seq,
  turns: Type.Integer({ description: 'Turns completed' }),
  usage: Usage,
  costUsd: Type.Number(),
  budget: nullable(Budget),
  waitsUntil: nullable(Time),
  createdAt: Time,
  updatedAt: Time,
})
export type Session = Static<typeof Session>

const Model = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:/@\\[\\]-]{0,127}$' })

/** What a session does when its process fails, where it differs from the server's settings. */
export const RecoverySettings = strict(
  {
    baseDelay: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 3_600_000,
        description: 'Of the second retry, in ms; the first comes at once',
      }),
    ),
    maxDelay: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_600_000, description: 'In ms' })),
    factor: Type.Optional(Type.Number({ minimum: 1, maximum: 100 })),
    maxRetries: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000, description: 'Then the session is closed' })),
    continue: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('ask'), Type.Literal('never')], {
        description:
          'A turn that was cut off after tools had run: go on (auto asks where a tool may have run in part), ask, or end the turn',
      }),
    ),
  },
  { minProperties: 1 },
)
export type RecoverySettings = Static<typeof RecoverySettings>

export const CreateSession = strict({
  workspaceId: Type.Optional(WorkspaceId),
  name: Type.Optional(Name),
  model: Type.Optional(Model),
  permissionMode: Type.Optional(PermissionMode),
  systemPrompt: Type.Optional(Type.String({ minLength: 1, maxLength: 100_000 })),
  maxTurns: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  recovery: Type.Optional(RecoverySettings),
  budget: Type.Optional(Budget),
  limits: Type.Optional(SessionLimits),
})
export type CreateSession = Static<typeof CreateSession>

/** A prompt: either `prompt` (text) or `content` (text and image blocks). */
export const Execute = strict({
  prompt: Type.Optional(Type.String({ minLength: 1, maxLength: 1_000_000 })),
  content: Type.Optional(Type.Array(ContentBlock, { minItems: 1, maxItems: 100 })),
  id: Type.Optional(TurnId),
})
export type Execute = Static<typeof Execute>

/** What the session's process has now, with all that it has started. Null: not known. */
export const Resources = Type.Object({
  source: nullable(
    Type.Enum(['cgroup', 'proc'], {
      description:
        'Who counts: its control group, or the files of each of its processes, where shared memory counts for each; null while it has no process',
    }),
  ),
  memoryBytes: nullable(Type.Integer()),
  memoryPeakBytes: nullable(Type.Integer({ description: 'The most since its start' })),
  cpuSeconds: nullable(Type.Number({ description: 'Since its start' })),
  throttledPeriods: nullable(
    Type.Integer({ description: 'In how many periods of 0.1 s it was held back to its CPUs' }),
  ),
  processes: nullable(Type.Integer()),
  tasks: nullable(Type.Integer({ description: 'Its processes and threads' })),
  oomKills: nullable(Type.Integer({ description: 'How many of its processes were ended for lack of memory' })),
  limits: ResourceLimits,
})
export type Resources = Static<typeof Resources>

export const Accepted = Type.Object({ turnId: TurnId, seq: Seq })
export type Accepted = Static<typeof Accepted>

const params = strict({ id: SessionId })
const tag = 'sessions'

export const sessionRoutes = {
  create: route({
    id: 'createSession',
    method: 'POST',
    path: '/v1/sessions',
    summary: 'Create a session',
    description: 'Starts its process. Without workspaceId it gets a new, empty workspace.',
    tag,
    auth: 'sessions.write',
    body: CreateSession,
    status: 201,
    response: Session,
  }),
  list: route({
    id: 'listSessions',
    method: 'GET',
    path: '/v1/sessions',
    summary: 'List your sessions and those shared with you, newest first',
    tag,
    auth: 'sessions.read',
    query: strict({
      status: Type.Optional(SessionStatus),
      workspaceId: Type.Optional(WorkspaceId),
      text: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Part of the name' })),
      cursor: Type.Optional(PageCursor),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
    }),
    status: 200,
    response: Type.Object({ sessions: Type.Array(Session), nextCursor: nullable(Type.String()) }),
  }),
  get: route({
    id: 'getSession',
    method: 'GET',
    path: '/v1/sessions/:id',
    summary: 'Show a session',
    tag,
    auth: 'sessions.read',
    params,
    status: 200,
    response: Session,
  }),
  update: route({
    id: 'updateSession',
    method: 'PATCH',
    path: '/v1/sessions/:id',
    summary: 'Change a session',
    description: 'The model and the permission mode take effect with the next prompt.',
    tag,
    auth: 'sessions.write',
    params,
    body: strict({
      name: Type.Optional(Name),
      model: Type.Optional(Model),
      permissionMode: Type.Optional(PermissionMode),
    }),
    status: 200,
    response: Session,
  }),
  delete: route({
    id: 'deleteSession',
    method: 'DELETE',
    path: '/v1/sessions/:id',
    summary: 'Delete a session',
    description: 'Closes it first, then removes its log. Its workspace stays.',
    tag,
    auth: 'sessions.manage',
    params,
    status: 204,
  }),
  execute: route({
    id: 'execute',
    method: 'POST',
    path: '/v1/sessions/:id/execute',
    summary: 'Send a prompt',
    description:
      'Answers 202 once the prompt is on disk; prompts sent while a turn runs are queued in order. The same id again names the same turn. With Accept: text/event-stream it streams the turn until its `complete`.',
    tag,
    auth: 'sessions.write',
    params,
    body: Execute,
    status: 202,
    response: Accepted,
    streams: true,
  }),
  interrupt: route({
    id: 'interrupt',
    method: 'POST',
    path: '/v1/sessions/:id/interrupt',
    summary: 'Interrupt the running turn',
    description: 'Prompts queued behind it still run.',
    tag,
    auth: 'sessions.write',
    params,
    status: 202,
    response: Type.Object({ turnId: TurnId }),
  }),
  close: route({
    id: 'closeSession',
    method: 'POST',
    path: '/v1/sessions/:id/close',
    summary: 'Close a session',
    description: 'Ends its process. A running turn and queued prompts end as interrupted.',
    tag,
    auth: 'sessions.write',
    params,
    status: 200,
    response: Session,
  }),
  events: route({
    id: 'listEvents',
    method: 'GET',
    path: '/v1/sessions/:id/events',
    summary: "Read a session's log",
    description:
      'A page of messages after a cursor; with Accept: text/event-stream everything after it, then what comes, with the cursor as the event id (Last-Event-ID continues). `slow` is for a stream that is read too slowly: see docs/protocol.md.',
    tag,
    auth: 'sessions.read',
    params,
    query: strict({
      after: Type.Optional(CursorText),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000, default: 1000 })),
      slow: Type.Optional(SlowPolicy),
    }),
    status: 200,
    response: Type.Object({ events: Type.Array(Message), nextAfter: Seq, lastSeq: Seq }),
    streams: true,
  }),
  resources: route({
    id: 'sessionResources',
    method: 'GET',
    path: '/v1/sessions/:id/resources',
    summary: 'What a session takes of the machine, and what it may take',
    description: 'Of its running process; without one, the limits that the next one will have.',
    tag,
    auth: 'sessions.read',
    params,
    status: 200,
    response: Resources,
  }),
  once: route({
    id: 'executeOnce',
    method: 'POST',
    path: '/v1/execute',
    summary: 'Run one prompt in a session of its own',
    description:
      'Makes a session, runs the prompt, closes the session and answers with the result. With Accept: text/event-stream it streams the turn.',
    tag,
    auth: 'sessions.write',
    body: strict({
      prompt: Type.String({ minLength: 1, maxLength: 1_000_000 }),
      workspaceId: Type.Optional(WorkspaceId),
      model: Type.Optional(Model),
      permissionMode: Type.Optional(PermissionMode),
      budget: Type.Optional(Budget),
    }),
    status: 200,
    response: Type.Object({ sessionId: SessionId, turnId: TurnId, complete: CompleteMessage }),
    streams: true,
  }),
} as const
