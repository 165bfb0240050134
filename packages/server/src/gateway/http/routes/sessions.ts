import type { FastifyReply, FastifyRequest } from 'fastify'
import { parseCursor, routes, type CreateSession, type Cursor, type Message, type StreamItem } from '@aicm/protocol'
import { tightest } from '../../../config/resource-limits.ts'
import { AppError } from '../../../lib/app-error.ts'
import type { Session } from '../../../session/session.ts'
import { viewSession } from '../../../session/view.ts'
import type { Identity } from '../../../auth/identity.ts'
import { sessionOf, workspaceOf, type Caller } from '../../access.ts'
import { listSessionsFor, viewSessionFor } from '../../shared-views.ts'
import { watchAccess } from '../../watch-access.ts'
import { promptOf } from '../../prompt.ts'
import type { Services } from '../../services.ts'
import { recordAct } from '../audit.ts'
import { sendEventStream, wantsEventStream } from '../event-stream.ts'
import { streamed, type Register } from '../register.ts'

/** Room for a prompt with several images. */
const promptBytes = 32 * 1024 * 1024
const defaultPage = 50

const noProcess = {
  ...{ source: null, memoryBytes: null, memoryPeakBytes: null, cpuSeconds: null, throttledPeriods: null },
  ...{ processes: null, tasks: null, oomKills: null },
}

export const registerSessions = (register: Register, services: Services): void => {
  const { database, registry, workspaces } = services

  const createSession = async (user: Caller, body: CreateSession, oneShot: boolean): Promise<Session> => {
    const session = await services.quotas.session(user.id, () => makeSession(user, body, oneShot))
    // Before its first prompt: what it may spend is the broker's to know.
    if (body.budget !== undefined) await services.spending.broker.reconfigure()
    return session
  }

  const makeSession = async (user: Caller, body: CreateSession, oneShot: boolean): Promise<Session> => {
    services.assertCanStart()
    if (body.limits !== undefined) await services.userLimits.assertWithin(user.id, body.limits)
    const known =
      body.workspaceId === undefined ? undefined : await workspaceOf(services, user, body.workspaceId, 'sessions.write')
    if (known !== undefined && known.userId !== user.id)
      throw new AppError('forbidden', 'Only the owner of a workspace creates sessions in it.', {
        hint: 'Send prompts to the sessions that there are, or create one in a workspace of your own.',
      })
    if (known !== undefined && known.status !== 'ready')
      throw new AppError(
        'workspace_not_ready',
        `The workspace is ${known.status}.${known.error === null ? '' : ` ${known.error}`}`,
      )
    const spare = registry.spare({ ...body, userId: user.id })
    try {
      const workspace =
        known ?? (await workspaces.claim(user.id, spare?.workspace ?? (await workspaces.reserve(user.id))))
      return await registry.create({ ...body, workspaceId: workspace.id, userId: user.id, oneShot }, spare)
    } catch (error) {
      if (spare !== undefined) await registry.discard(spare)
      throw error
    }
  }

  register(routes.sessions.create, async ({ user, body }) =>
    viewSession((await createSession(user, body, false)).record()),
  )

  register(routes.sessions.list, ({ user, query }) => {
    const { cursor, limit = defaultPage, ...filter } = query
    return listSessionsFor(services, user, { ...filter, before: cursor, limit })
  })

  register(routes.sessions.get, async ({ user, params }) =>
    viewSessionFor(services, user, (await sessionOf(services, user, params.id, routes.sessions.get.auth)).record()),
  )

  register(routes.sessions.update, async ({ user, params, body }) => {
    const session = await sessionOf(services, user, params.id, routes.sessions.update.auth)
    await session.update(body)
    return viewSessionFor(services, user, session.record())
  })

  register(routes.sessions.delete, async ({ user, params }) => {
    await sessionOf(services, user, params.id, routes.sessions.delete.auth)
    await registry.delete(params.id)
    return void (await services.shares.forget(params.id))
  })

  register(routes.sessions.interrupt, async ({ user, params }) =>
    (await sessionOf(services, user, params.id, routes.sessions.interrupt.auth)).interrupt(),
  )

  register(routes.sessions.close, async ({ user, params }) => {
    const session = await sessionOf(services, user, params.id, routes.sessions.close.auth)
    await session.close(session.record().userId === user.id ? 'closed by its owner' : `closed by ${user.username}`)
    return viewSessionFor(services, user, session.record())
  })

  register(routes.sessions.resources, async ({ user, params }) => {
    const record = (await sessionOf(services, user, params.id, routes.sessions.resources.auth)).record()
    const limits = tightest(await services.userLimits.of(record.userId), record.state.limits)
    return { limits, ...noProcess, ...(await services.processes.resources(record.id)) }
  })

  const watching =
    (identity: Identity, sessionId: string) =>
    (lost: (error: AppError) => void): (() => void) =>
      watchAccess(services, identity, {
        check: (user) => sessionOf(services, user, sessionId, 'sessions.read'),
        lost,
      })

  /** A turn from its prompt to its end, as server-sent events. */
  const streamTurn = (
    { reply, request, identity }: { reply: FastifyReply; request: FastifyRequest; identity: Identity },
    session: Session,
    accepted: { turnId: string; seq: number },
  ): Promise<void> =>
    sendEventStream({
      request,
      reply,
      follow: session.follow,
      after: { seq: accepted.seq - 1 },
      skip: (item) => item.turnId !== undefined && item.turnId !== accepted.turnId,
      until: (item) => isEndOf(accepted.turnId)(item),
      watch: watching(identity, session.record().id),
    })

  register(
    routes.sessions.execute,
    async ({ user, identity, params, body, request, reply }) => {
      const session = await sessionOf(services, user, params.id, routes.sessions.execute.auth)
      const prompt = promptOf(body)
      // The entry is on its way while the prompt is brought to the disk.
      const audit = (): Promise<void> => recordAct(services, 'sessions.execute', { request, answer: prompt })
      const accepted = await services.quotas.prompt(session.record().userId, () =>
        session.execute({ ...prompt, userId: user.id, onWritten: () => void audit() }),
      )
      if (!wantsEventStream(request)) return accepted
      await audit()
      await streamTurn({ reply, request, identity }, session, accepted)
      return streamed
    },
    { bodyLimit: promptBytes },
  )

  register(
    routes.sessions.once,
    async ({ user, identity, body, request, reply }) => {
      const { prompt, ...config } = body
      const session = await createSession(
        user,
        { ...config, name: prompt.slice(0, 60).replaceAll(/\p{Cc}+/gu, ' ') },
        true,
      )
      const accepted = await session.execute({ ...promptOf({ prompt }), userId: user.id })
      // Now, and not when the turn has ended.
      const sessionId = session.record().id
      await recordAct(services, 'sessions.once', { request, answer: { ...accepted, sessionId } })
      if (wantsEventStream(request)) {
        await streamTurn({ reply, request, identity }, session, accepted)
        return streamed
      }
      const gone = new AbortController()
      reply.raw.on('close', () => gone.abort())
      const stopWatching = watching(identity, sessionId)((error) => gone.abort(error))
      const complete = await endOfTurn(session, accepted, gone.signal).finally(stopWatching)
      return { sessionId, turnId: accepted.turnId, complete }
    },
    { bodyLimit: promptBytes, waits: true },
  )

  register(routes.sessions.events, async ({ user, identity, params, query, request, reply }) => {
    const session = await sessionOf(services, user, params.id, routes.sessions.events.auth)
    const after = cursorOf(request.headers['last-event-id'] ?? query.after)
    // A cursor past the end is refused, of a stream too, while it still can be.
    session.follow(after, AbortSignal.abort())
    if (wantsEventStream(request)) {
      const { follow } = session
      await sendEventStream({ request, reply, follow, after, slow: query.slow, watch: watching(identity, params.id) })
      return streamed
    }
    const events = await database.events.read({ sessionId: params.id, after: after.seq, limit: query.limit ?? 1000 })
    return { events, nextAfter: events.at(-1)?.seq ?? after.seq, lastSeq: session.record().lastSeq }
  })
}

const cursorOf = (text: string | string[] | undefined): Cursor => {
  if (text === undefined) return { seq: 0 }
  const cursor = typeof text === 'string' ? parseCursor(text) : undefined
  if (cursor === undefined) throw new AppError('invalid_cursor', `${JSON.stringify(text)} is not a cursor.`)
  return cursor
}

const isEndOf =
  (turnId: string) =>
  (item: StreamItem): item is Extract<Message, { type: 'complete' }> =>
    item.type === 'complete' && item.turnId === turnId

const endOfTurn = async (session: Session, { turnId, seq }: { turnId: string; seq: number }, signal: AbortSignal) => {
  for await (const { items } of session.follow({ seq }, signal)) {
    const complete = items.find(isEndOf(turnId))
    if (complete !== undefined) return complete
  }
  if (signal.reason instanceof AppError) throw signal.reason
  throw new AppError('not_ready', 'The server is stopping; the prompt goes on.')
}
