import type { FastifyRequest } from 'fastify'
import { actionOfRoute, quotaNames, resourceNames, type AuditAction, type Route } from '@aicm/protocol'
import type { Act } from '../../audit/act.ts'
import { credentialOf } from '../../auth/identity.ts'
import type { AppError } from '../../lib/app-error.ts'
import type { Services } from '../services.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Resolves when what it has done is in the audit log; null until that was begun. */
    audited: Promise<void> | null
  }
}

/** Changes nothing by itself: what its ticket is used for is recorded. */
const quiet = new Set<AuditAction>(['auth.ticket', 'audit.head'])
/** What is read there is worth knowing. */
const watched = /^(?:audit|users|files)\./

/** The action of a route whose success is recorded. */
export const recordedAction = ({ id, method }: Route): AuditAction | undefined => {
  const action = actionOfRoute(id)
  if (action === undefined || quiet.has(action)) return undefined
  return method !== 'GET' || watched.test(action) ? action : undefined
}

/** By name. `changed`: which keys the body had. */
type Told = { params?: string[]; query?: string[]; body?: string[]; answer?: string[]; changed?: true }

/** What an entry tells beside the target, of what was checked or made here. Nothing that somebody wrote, no URL, no secret. */
const told: Partial<Record<AuditAction, Told>> = {
  'auth.rotate': { answer: ['keyId'] },
  'users.create': { answer: ['username', 'role', 'mustChangePassword'] },
  'users.update': { body: ['role', 'disabled', 'resetPassword'], answer: ['username'] },
  'users.delete': { query: ['purge'] },
  'keys.create': { answer: ['prefix', 'permissions', 'expiresAt'] },
  'credentials.create': { answer: ['kind', 'shared'], changed: true },
  'credentials.update': { body: ['enabled'], answer: ['kind', 'shared'], changed: true },
  'quotas.set': { body: [...quotaNames] },
  'limits.set': { body: [...resourceNames] },
  'budgets.set': { body: ['of', 'day', 'month'] },
  'shares.shareSession': { answer: ['userId', 'username', 'access'] },
  'shares.shareWorkspace': { answer: ['userId', 'username', 'access'] },
  'shares.unshareSession': { params: ['userId'] },
  'shares.unshareWorkspace': { params: ['userId'] },
  'sessions.create': { body: ['model', 'permissionMode', 'maxTurns', 'budget', 'limits'], answer: ['workspaceId'] },
  'sessions.update': { body: ['model', 'permissionMode'], changed: true },
  'sessions.execute': { answer: ['turnId'] },
  'sessions.once': { body: ['model', 'permissionMode'], answer: ['turnId'] },
  'sessions.interrupt': { answer: ['turnId'] },
  'workspaces.create': { answer: ['name', 'source', 'path'] },
  'files.list': { query: ['path'] },
  'files.read': { query: ['path'] },
  'files.write': { query: ['path'], answer: ['size'] },
  'files.remove': { query: ['path'] },
  'files.makeFolder': { body: ['path'] },
  'workspaces.setConfinement': { body: ['readOnlyMounts', 'allowedTools', 'disallowedTools'] },
  'approvals.answer': { body: ['decision', 'remember'], answer: ['sessionId', 'tool'] },
}

const property = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined

const pick = (value: unknown, names: string[] = []): Record<string, unknown> =>
  Object.fromEntries(names.flatMap((name) => [[name, property(value, name)]]).filter(([, part]) => part !== undefined))

const idPattern = /^[a-z]{2,5}_[0-9a-z]{26}$/
/** What stands in an address may be anything, so only what looks like an id is told. */
const idIn = (value: unknown): string | undefined =>
  typeof value === 'string' && idPattern.test(value) ? value : undefined

const targetOf = (action: AuditAction, { params, body }: FastifyRequest, answer?: unknown): string | undefined => {
  if (action === 'auth.login') {
    const tried = property(body, 'username')
    return typeof tried === 'string' ? tried : undefined
  }
  const inPath = Object.values(params ?? {}).map(idIn)
  return inPath.find((id) => id !== undefined) ?? idIn(property(answer, 'id')) ?? idIn(property(answer, 'sessionId'))
}

/** Who asks, and from where. */
const askerOf = ({ caller, clientAddress, id }: FastifyRequest): Pick<Act, 'address' | 'requestId'> & Partial<Act> => ({
  address: clientAddress,
  requestId: id,
  ...(caller !== null && {
    userId: caller.user.id,
    username: caller.user.username,
    credential: credentialOf(caller.identity),
  }),
})

/** A log-in makes known who it was. Never rejects: it was done. */
const newcomerOf = async (services: Services, answer: unknown): Promise<Partial<Act>> => {
  const token = property(answer, 'accessToken')
  if (typeof token !== 'string') return {}
  try {
    const { userId } = await services.accessTokens.verify(token)
    return { userId, username: (await services.database.users.get(userId))?.username }
  } catch (error) {
    services.log.warn({ err: error }, 'who has logged in is not known to the audit log')
    return {}
  }
}

/**
 * Records what a request has done, once, however often it is called. The request waits for it: whoever reads the answer knows
 * that a crash of the server does not undo the entry.
 */
export const recordAct = (
  services: Services,
  action: AuditAction,
  { request, answer }: { request: FastifyRequest; answer: unknown },
): Promise<void> => (request.audited ??= record(services, action, { request, answer }))

const record = async (
  services: Services,
  action: AuditAction,
  { request, answer }: { request: FastifyRequest; answer: unknown },
): Promise<void> => {
  const names = told[action] ?? {}
  await services.audit.record({
    ...askerOf(request),
    ...(request.caller === null && (await newcomerOf(services, answer))),
    action,
    target: targetOf(action, request, answer),
    detail: {
      ...pick(request.params, names.params),
      ...pick(request.query, names.query),
      ...pick(request.body, names.body),
      ...pick(answer, names.answer),
      ...(names.changed && { changed: Object.keys(request.body ?? {}) }),
    },
  })
}

/** Refusals that are told of whatever was asked: who may not, who came too often, who came by a name or page not ours. */
const telling = new Set([401, 403, 421, 429])

/** Records what was not done. Nobody waits for that. */
export const recordRefusal = (services: Services, request: FastifyRequest, refused: AppError): void => {
  const { code, status, about } = refused
  const reading = ['GET', 'HEAD', 'OPTIONS'].includes(request.method)
  if (request.audited !== null || (reading && !telling.has(status))) return
  const action = actionOfRoute(operationOf(request)) ?? 'http.other'
  const target = targetOf(action, request)
  void services.audit.record({
    ...askerOf(request),
    ...(action === 'auth.login' && { username: target }),
    ...{ action, target, code },
    ...about,
    result: status >= 500 ? 'failed' : 'refused',
  })
}

const operationOf = ({ routeOptions }: FastifyRequest): string | undefined => {
  const id = property(routeOptions.schema, 'operationId')
  return typeof id === 'string' ? id : undefined
}
