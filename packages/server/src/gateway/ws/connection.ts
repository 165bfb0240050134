import type { Duplex } from 'node:stream'
import {
  accessLostCode,
  formatCursor,
  parseCursor,
  protocolVersion,
  slowReaderCode,
  UpMessage,
  type Cursor,
  type SlowPolicy,
} from '@aicm/protocol'
import type { WebSocket } from 'ws'
import { viewUser } from '../../auth/accounts.ts'
import type { Identity } from '../../auth/identity.ts'
import { AppError, toAppError } from '../../lib/app-error.ts'
import { newRequestId } from '../../lib/id.ts'
import { once } from '../../lib/once.ts'
import { unreachable } from '../../lib/unreachable.ts'
import type { Batch } from '../../session/feed.ts'
import type { Batches } from '../../session/follow.ts'
import { sessionOf, userOf, type Caller } from '../access.ts'
import { answerApproval } from '../approvals.ts'
import { deliver } from '../deliver.ts'
import { refuseHostileJson } from '../json-text.ts'
import { promptOf } from '../prompt.ts'
import { countedCaller } from '../request-limits.ts'
import type { Services } from '../services.ts'
import { createCheck } from '../validate.ts'
import { createMessageLimits } from './limit-messages.ts'
import { watchAccess } from '../watch-access.ts'
import { createSocketAudit } from './audit.ts'
import { createOutgoing } from './outgoing.ts'

/** Requests, and bytes of them, that may wait for their turn; past that the socket is not read. */
const mayWait = { requests: 64, bytes: 1024 * 1024 }
/**
 * A connection that has answered nothing to so many pings is gone, whatever TCP says: 28 seconds at most. Counted, not timed: a
 * server that was stopped for a minute asks before it lets go of everybody.
 */
const heartbeat = { everyMs: 7000, unanswered: 3 }
const maxSubscriptions = 1000
/** Whoever is let in no longer has so long to close by itself. */
const dismissMs = 500
/** More does not fit into the reason of a close. */
const mostReason = 120

const checkUp = createCheck(UpMessage, 'message')

/** The frame of a batch, made once for all the connections that take it. */
export type Frames = (sessionId: string, batch: Batch) => Buffer

export const createFrames = (): Frames => {
  const made = new WeakMap<Batch, Buffer>()
  return (sessionId, batch) => {
    const known = made.get(batch)
    if (known !== undefined) return known
    const frame = Buffer.from(`{"type":"events","sessionId":"${sessionId}","items":${batch.json}}`)
    made.set(batch, frame)
    return frame
  }
}

/** Who may open it. */
export type Admitted = { identity: Identity; user: Caller; address: string }

/** Serves one WebSocket until it closes: requests in their order, subscriptions beside them. */
export const serveConnection = (
  socket: WebSocket,
  connection: Duplex,
  { identity, user: opener, address }: Admitted,
  services: Services,
  frames: Frames,
): void => {
  const audit = createSocketAudit(services, { identity, user: opener, address })
  const subscriptions = new Map<string, AbortController>()
  const outgoing = createOutgoing(socket, connection)
  const { send } = outgoing
  const limits = createMessageLimits(services.limits, countedCaller(identity), address)
  /** Since the last sign of life. */
  let pings = 0
  const waiting = { requests: 0, bytes: 0 }
  let lastRequest: Promise<void> = Promise.resolve()

  const refuse = (error: unknown, ref: string | undefined, message?: UpMessage): void => {
    const refused = toAppError(error)
    const requestId = newRequestId(services.clock.now())
    if (refused.status >= 500)
      services.log.error({ err: refused, cause: refused.cause, requestId }, 'a WebSocket request failed')
    audit.refused(message, { error: refused, requestId })
    send({ type: 'error', ref, ...refused.toBody(requestId) })
    if (limits.refused(refused.code)) socket.close(1008, 'too many requests')
  }

  const stopAll = (): void => {
    for (const stop of subscriptions.values()) stop.abort()
  }

  const unsubscribe = (sessionId: string, ref?: string): void => {
    subscriptions.get(sessionId)?.abort()
    subscriptions.delete(sessionId)
    send({ type: 'unsubscribed', ref, sessionId })
  }

  /** What was shared may be shared no longer. */
  const endWhatIsHidden = async (user: Caller): Promise<void> => {
    for (const sessionId of subscriptions.keys())
      await sessionOf(services, user, sessionId, 'sessions.read').catch((error: unknown) => {
        if (error instanceof AppError && error.status < 500) unsubscribe(sessionId)
      })
  }

  const dismiss = (error: AppError): void => {
    stopAll()
    socket.close(accessLostCode, error.message.slice(0, mostReason))
    setTimeout(() => socket.terminate(), dismissMs)
  }

  const subscribe = async (
    user: Caller,
    ref: string,
    { sessionId, after, slow }: { sessionId: string; after: Cursor; slow: SlowPolicy },
  ): Promise<void> => {
    const session = await sessionOf(services, user, sessionId, 'sessions.read')
    if (subscriptions.size >= maxSubscriptions && !subscriptions.has(sessionId))
      throw new AppError('too_many_requests', `A connection can follow ${maxSubscriptions} sessions.`)
    // It closed meanwhile, and nobody would end this subscription any more.
    if (socket.readyState !== socket.OPEN) return
    const stop = new AbortController()
    const { signal } = stop
    const follow = (from: Cursor): Batches => session.follow(from, signal)
    // A cursor past the end is refused before anything changes.
    follow(after)
    // A second subscription to a session replaces the first.
    subscriptions.get(sessionId)?.abort()
    subscriptions.set(sessionId, stop)
    send({ type: 'subscribed', ref, sessionId, lastSeq: session.record().lastSeq })

    const push = (batch: Batch): void => outgoing.sendFrame(frames(sessionId, batch))
    /** Closing takes as long as a reader that stalls likes, and its end makes room too: nothing more is read for it then. */
    const hasEnded = (): boolean => {
      if (socket.readyState !== socket.OPEN) stop.abort()
      return signal.aborted
    }
    deliver({
      ...{ follow, after, slow, signal },
      reader: {
        room: () => {
          if (hasEnded()) return undefined
          return outgoing.room()?.then(() => {
            hasEnded()
            outgoing.passOn()
          })
        },
        give: (batch) => {
          const room = outgoing.room()
          if (room !== undefined)
            return room.then(() => {
              if (signal.aborted) outgoing.passOn()
              else if (!hasEnded()) push(batch)
              return true
            })
          if (!hasEnded()) push(batch)
          return false
        },
        push,
        waiting: outgoing.waiting,
        behind: (cursor) => send({ type: 'behind', sessionId, cursor: formatCursor(cursor) }),
      },
    }).then(
      (cutOff) => {
        if (signal.aborted) return
        subscriptions.delete(sessionId)
        if (cutOff === undefined) return send({ type: 'unsubscribed', sessionId })
        stopAll()
        socket.close(slowReaderCode, `behind ${sessionId} ${formatCursor(cutOff)}`)
      },
      (error: unknown) => {
        subscriptions.delete(sessionId)
        refuse(error, ref)
      },
    )
  }

  const handle = async (message: UpMessage): Promise<void> => {
    const { ref } = message
    // Looked at each time: a connection outlives a change of role.
    const user = await userOf(services, identity)
    switch (message.type) {
      case 'subscribe': {
        const after = message.after === undefined ? { seq: 0 } : parseCursor(message.after)
        if (after === undefined) throw new AppError('invalid_cursor', 'This is not a cursor.')
        return subscribe(user, ref, { sessionId: message.sessionId, after, slow: message.slow ?? 'resume' })
      }
      case 'unsubscribe':
        return unsubscribe(message.sessionId, ref)
      case 'execute': {
        const { sessionId } = message
        const session = await sessionOf(services, user, sessionId, 'sessions.write')
        const prompt = promptOf(message)
        const recorded = once(() => audit.done(message, { target: sessionId, detail: { turnId: prompt.turnId } }))
        const accepted = await services.quotas.prompt(session.record().userId, () =>
          session.execute({ ...prompt, userId: user.id, onWritten: () => void recorded() }),
        )
        await recorded()
        return send({ type: 'accepted', ref, sessionId, ...accepted })
      }
      case 'interrupt': {
        const { sessionId } = message
        const session = await sessionOf(services, user, sessionId, 'sessions.write')
        const interrupted = await session.interrupt()
        await audit.done(message, { target: sessionId, detail: interrupted })
        return send({ type: 'interrupted', ref, sessionId, ...interrupted })
      }
      case 'approve': {
        const { approvalId, decision } = message
        const approval = await answerApproval(services, user, approvalId, decision)
        const { sessionId, tool } = approval
        await audit.done(message, {
          target: approvalId,
          detail: { decision: decision.decision, remember: decision.remember, sessionId, tool },
        })
        return send({ type: 'approved', ref, approval })
      }
      case 'ping':
        return send({ type: 'pong', ref })
      default:
        return unreachable(message)
    }
  }

  const parse = (data: Buffer, isBinary: boolean): unknown => {
    if (isBinary) throw new AppError('invalid_request', 'Send text frames with JSON.')
    const text = data.toString('utf8')
    refuseHostileJson(text)
    try {
      return JSON.parse(text)
    } catch (error) {
      throw new AppError('invalid_json', 'The message is not JSON.', { cause: error })
    }
  }

  const take = async (data: Buffer, isBinary: boolean): Promise<void> => {
    // What came before the flood was ended.
    if (socket.readyState !== socket.OPEN) return
    let value: unknown
    let message: UpMessage | undefined
    try {
      try {
        value = parse(data, isBinary)
      } finally {
        await limits.take(value)
      }
      message = checkUp(value)
      await handle(message)
    } catch (error) {
      refuse(error, refOf(value), message)
    }
    // Who asks without reading the answers is not asked for more questions.
    await outgoing.room()
    outgoing.passOn()
  }

  const isFull = (): boolean => waiting.requests >= mayWait.requests || waiting.bytes > mayWait.bytes

  socket.on('message', (data: Buffer, isBinary) => {
    pings = 0
    const { length } = data
    waiting.requests += 1
    waiting.bytes += length
    if (isFull()) socket.pause()
    lastRequest = lastRequest
      .then(() => take(data, isBinary))
      .finally(() => {
        waiting.requests -= 1
        waiting.bytes -= length
        if (!isFull()) socket.resume()
      })
  })
  socket.on('pong', () => {
    pings = 0
  })
  const pulse = setInterval(() => {
    if (pings === heartbeat.unanswered) return socket.terminate()
    pings += 1
    socket.ping()
  }, heartbeat.everyMs)
  socket.on('error', (error) => services.log.debug({ err: error }, 'a WebSocket failed'))
  const stopWatching = watchAccess(services, identity, { check: endWhatIsHidden, lost: dismiss })
  socket.on('close', () => {
    stopWatching()
    clearInterval(pulse)
    stopAll()
  })

  send({ type: 'hello', protocol: protocolVersion, version: services.version, user: viewUser(opener) })
  const health = services.healthChecker.last()
  if (health?.status === 'degraded') send({ type: 'health', ...health })
}

const refOf = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null && 'ref' in value && typeof value.ref === 'string'
    ? value.ref.slice(0, 64)
    : undefined
