import { initialState } from '../../../server/src/session/initial-state.ts'
import type { Append } from '@aicm/server/storage/event-store'
import type { ApiKeyRecord } from '@aicm/server/storage/api-key-store'
import type { LoginRecord } from '@aicm/server/storage/login-store'
import type { CredentialRecord } from '@aicm/server/storage/credential-store'
import type { ProjectRecord } from '@aicm/server/storage/project-store'
import type { SessionRecord, SessionState, TurnState } from '@aicm/server/storage/session-store'
import type { TaskRecord } from '@aicm/server/storage/task-store'
import type { UsageRecord } from '@aicm/server/storage/usage-store'
import type { UserRecord } from '@aicm/server/storage/user-store'
import type { WorkspaceRecord } from '@aicm/server/storage/workspace-store'
import type {
  ApprovalMessage,
  ApprovalState,
  AuditEntry,
  CompleteMessage,
  Message,
  PromptMessage,
  TextMessage,
} from '@aicm/protocol'
import { randomUUID } from 'node:crypto'

/** Valid records, each as plain as can be; a test says only what it is about. */
export const time = '2026-03-01T12:00:00.000Z'
const created = Date.parse(time)

/** An id that sorts by `order`. */
export const idOf = (kind: string, order: number): string => `${kind}_${String(order).padStart(26, '0')}`

/** An id that no other call has given. */
export const freshId = (kind: string): string => `${kind}_${randomUUID().replaceAll('-', '').slice(0, 26)}`

export const sessionState = (changes: Partial<SessionState> = {}): SessionState => ({
  ...initialState('33333333-3333-4333-8333-333333333333'),
  status: 'idle',
  ...changes,
})

export const turnState = (changes: Partial<TurnState> = {}): TurnState => ({
  id: '11111111-1111-4111-8111-111111111111',
  promptId: '11111111-1111-4111-8111-111111111111',
  phase: 'sent',
  interrupt: 'none',
  openTools: [],
  ...changes,
})

export const sessionRecord = (changes: Partial<SessionRecord> = {}): SessionRecord => ({
  id: freshId('ses'),
  userId: idOf('usr', 1),
  workspaceId: idOf('wsp', 1),
  name: 'A session',
  model: null,
  permissionMode: 'default',
  systemPrompt: null,
  maxTurns: null,
  oneShot: false,
  state: sessionState(),
  lastSeq: 0,
  source: null,
  createdAt: created,
  updatedAt: created,
  ...changes,
})

export const textMessage = (seq: number, text = `text ${seq}`): TextMessage => ({
  type: 'text',
  seq,
  time,
  block: `b${seq}`,
  text,
})

export const promptMessage = (seq: number, turnId: string): PromptMessage => ({
  type: 'prompt',
  seq,
  time,
  turnId,
  content: [{ type: 'text', text: 'Hello' }],
  userId: idOf('usr', 1),
})

export const completeMessage = (seq: number, turnId: string): CompleteMessage => ({
  type: 'complete',
  seq,
  time,
  turnId,
  result: 'success',
  reason: 'completed',
})

export const approvalMessage = (seq: number, approvalId: string, state: ApprovalState): ApprovalMessage => ({
  type: 'approval',
  seq,
  time,
  turnId: '00000000-0000-4000-8000-000000000001',
  approvalId,
  state,
  toolUseId: 'toolu_1',
  tool: 'Bash',
  input: { command: 'ls' },
  canRemember: true,
})

/** An append of these events to the session as it was read. */
export const appendOf = (record: SessionRecord, events: Message[], changes: Partial<SessionRecord> = {}): Append => ({
  record: { ...record, ...changes, lastSeq: record.lastSeq + events.length },
  expectedSeq: record.lastSeq,
  events,
})

export const workspaceRecord = (changes: Partial<WorkspaceRecord> = {}): WorkspaceRecord => ({
  id: freshId('wsp'),
  userId: idOf('usr', 1),
  name: 'site',
  source: 'empty',
  path: '/srv/site',
  gitUrl: null,
  status: 'ready',
  error: null,
  createdAt: created,
  ...changes,
})

export const projectRecord = (changes: Partial<ProjectRecord> = {}): ProjectRecord => ({
  id: freshId('prj'),
  userId: idOf('usr', 1),
  name: 'Shop',
  description: '',
  workspaceIds: [],
  createdAt: created,
  updatedAt: created,
  ...changes,
})

export const taskRecord = (changes: Partial<TaskRecord> = {}): TaskRecord => ({
  id: freshId('tsk'),
  userId: idOf('usr', 1),
  projectId: null,
  workspaceId: null,
  sessionId: null,
  turnId: null,
  title: 'Tidy up',
  prompt: 'Tidy up.',
  status: 'pending',
  createdAt: created,
  updatedAt: created,
  ...changes,
})

export const loginRecord = (changes: Partial<LoginRecord> = {}): LoginRecord => ({
  id: freshId('lgn'),
  userId: idOf('usr', 1),
  familyHash: randomUUID(),
  tokenHash: randomUUID(),
  agent: null,
  createdAt: created,
  usedAt: created,
  expiresAt: created + 1000,
  revokedAt: null,
  ...changes,
})

export const apiKeyRecord = (changes: Partial<ApiKeyRecord> = {}): ApiKeyRecord => ({
  id: freshId('key'),
  userId: idOf('usr', 1),
  name: 'A key',
  prefix: 'aicm_abc',
  keyHash: randomUUID(),
  permissions: ['sessions.read'],
  createdAt: created,
  expiresAt: null,
  lastUsedAt: null,
  ...changes,
})

export const userRecord = (changes: Partial<UserRecord> = {}): UserRecord => ({
  id: freshId('usr'),
  username: 'Ada',
  passwordHash: '$argon2id$…',
  mustChangePassword: false,
  oidcId: null,
  role: 'member',
  disabledAt: null,
  createdAt: created,
  ...changes,
})

/** Its hash is none: stores do not look at it. */
export const auditEntry = (seq: number, changes: Partial<AuditEntry> = {}): AuditEntry => ({
  seq,
  time,
  userId: idOf('usr', 1),
  username: 'Ada',
  action: 'sessions.create',
  target: idOf('ses', seq),
  result: 'ok',
  code: null,
  address: '127.0.0.1',
  requestId: idOf('req', seq),
  credential: 'login',
  detail: {},
  hash: `hash ${seq}`,
  ...changes,
})

export const usageRecord = (changes: Partial<UsageRecord> = {}): UsageRecord => ({
  ledger: 'ledger',
  seq: 1,
  time: created,
  sessionId: idOf('ses', 1),
  userId: idOf('usr', 1),
  credentialId: idOf('crd', 1),
  model: 'claude-test',
  inputTokens: 1,
  outputTokens: 2,
  cacheReadTokens: 3,
  cacheWriteTokens: 4,
  costUsd: 0.01,
  priced: true,
  status: 200,
  end: 'complete',
  firstByteMs: 5,
  ms: 6,
  ...changes,
})

export const credentialRecord = (changes: Partial<CredentialRecord> = {}): CredentialRecord => ({
  id: freshId('crd'),
  userId: null,
  name: 'team',
  kind: 'api-key',
  upstream: null,
  sealed: 'v1.abc',
  hint: 'abcd',
  enabled: true,
  createdBy: idOf('usr', 1),
  createdAt: created,
  updatedAt: created,
  ...changes,
})
