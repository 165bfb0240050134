import type { Accepted, ContentBlock, Cursor, Decision, Message, StreamItem } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { Log } from '../lib/log.ts'
import { createMailbox } from '../lib/mailbox.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { createFeed, type Batch } from './feed.ts'
import { follow } from './follow.ts'
import type { Ingested } from './ingest.ts'
import type { Effect, Input } from './input.ts'
import { createProcessLink } from './process-link.ts'
import type { RunningProcesses } from './processes.ts'
import type { RetryPolicy } from './recovery.ts'
import { step } from './step.ts'
import type { StepContext } from './work.ts'

export type SessionDeps = {
  events: EventStore
  processes: RunningProcesses
  policy: RetryPolicy
  /** False with the demo API: see StepContext. */
  billed: boolean
  /** How long claude may take until it takes prompts. */
  startTimeoutMs: number
  clock: Clock
  log: Log
}

/** A session of this node, as its clients use it. Refusals reject with AppError. */
export type Session = {
  /** As of the last durable event. */
  record(): SessionRecord
  start(): Promise<void>
  /** Resolves when the prompt is on disk. The same turnId with the same content again resolves to the same turn. */
  execute(prompt: { turnId: string; content: ContentBlock[]; userId: string }): Promise<Accepted>
  interrupt(): Promise<{ turnId: string }>
  answer(answer: { approvalId: string; decision: Decision; userId: string }): Promise<void>
  update(changes: Omit<Extract<Input, { type: 'update' }>, 'type'>): Promise<void>
  close(reason: string): Promise<void>
  follow(after: Cursor, signal: AbortSignal): AsyncGenerator<Batch, void, void>
  /** Takes over what the last server left running, or finds out that it has ended. */
  restore(): Promise<void>
  /** Lets go of the process, which goes on, and resolves when nothing of this session is being written any more. */
  release(): Promise<void>
  /** For deletion: ends its followers. It must be closed before. */
  forget(): void
}

type Envelope =
  | { kind: 'input'; input: Input; resolve: (accepted: { seq: number }) => void; reject: (error: unknown) => void }
  | { kind: 'ingested'; ingested: Ingested; resolve: () => void; reject: (error: unknown) => void }

export const createSession = (initial: SessionRecord, deps: SessionDeps): Session => {
  const { id: sessionId } = initial
  const { events, clock } = deps
  const log = deps.log.child({ sessionId, userId: initial.userId })
  const feed = createFeed(initial.lastSeq)
  const context: StepContext = {
    policy: deps.policy,
    billed: deps.billed,
    newUuid,
    newApprovalId: () => newId('apr', clock.now()),
  }
  const lifetime = new AbortController()
  let record = initial

  /** The one consumer: everything that happens to the session goes through here, in order. */
  const consume = async (batch: Envelope[]): Promise<void> => {
    let next = record
    const messages: Message[] = []
    const items: StreamItem[] = []
    const effects: Effect[] = []
    const settled: (() => void)[] = []
    const time = isoTime(clock.now())

    const apply = (input: Input): { seq: number } => {
      const result = step(next, input, context)
      const first = next.lastSeq + 1
      for (const [at, { draft, turnId }] of result.events.entries()) {
        const message = { ...draft, seq: first + at, time, turnId } as Message
        messages.push(message)
        items.push(message)
      }
      next = { ...result.record, lastSeq: next.lastSeq + result.events.length }
      effects.push(...result.effects)
      return { seq: first }
    }

    const take = ({ generation, parts, offset, quiet }: Ingested): void => {
      if (generation !== next.state.generation) return
      for (const part of parts) {
        if (part.kind === 'delta') {
          const { toolUseId: _, ...delta } = part.delta
          const item: StreamItem = { type: 'delta', after: next.lastSeq, turnId: next.state.turn?.id, ...delta }
          if (part.seen) feed.track([item])
          else items.push(item)
        } else if (!part.seen) apply({ type: 'output', generation, output: part.output })
        else if (part.output.kind === 'message' && 'block' in part.output.draft) feed.settle(part.output.draft.block)
      }
      next = {
        ...next,
        source: {
          generation,
          offset: Math.max(offset, next.source?.generation === generation ? next.source.offset : 0),
        },
      }
      if (quiet) deps.processes.checkpoint(sessionId, generation, offset)
    }

    for (const envelope of batch) {
      const before = { next, messages: messages.length, items: items.length, effects: effects.length }
      try {
        if (envelope.kind === 'ingested') {
          take(envelope.ingested)
          settled.push(envelope.resolve)
        } else {
          const accepted = apply(envelope.input)
          settled.push(() => envelope.resolve(accepted))
        }
      } catch (error) {
        // All of an envelope or nothing: half of it would be stored now, and again when it is offered once more.
        next = before.next
        messages.length = before.messages
        items.length = before.items
        effects.length = before.effects
        envelope.reject(error)
      }
    }

    // Clients are told of what a power cut cannot undo; a process, which would not outlive it either, need not wait for that.
    let performed = false
    const perform = (): void => {
      performed = true
      record = next
      for (const effect of effects) link.perform(effect)
    }

    // What claude said and what tells nothing is not worth a sync to the disk: after a crash it is read again, because the
    // stored position is before it.
    if (messages.length > 0 || (batch.some(({ kind }) => kind === 'input') && stateChanged(record, next))) {
      next = { ...next, updatedAt: clock.now() }
      try {
        await events.append({ record: next, expectedSeq: record.lastSeq, events: messages }, perform)
      } catch (error) {
        log.error({ err: error }, 'events could not be stored')
        for (const envelope of batch) envelope.reject(error)
        return
      }
    }
    if (!performed) perform()
    feed.publish(items)
    for (const settle of settled) settle()
  }

  const mailbox = createMailbox(consume)
  const post = (input: Input): Promise<{ seq: number }> =>
    new Promise((resolve, reject) => mailbox.post({ kind: 'input', input, resolve, reject }))

  const link = createProcessLink({
    id: sessionId,
    record: () => record,
    post,
    deliver: (ingested) =>
      new Promise((resolve, reject) => mailbox.post({ kind: 'ingested', ingested, resolve, reject })),
    lifetime: lifetime.signal,
    startTimeoutMs: deps.startTimeoutMs,
    events,
    processes: deps.processes,
    log,
  })

  /** Prompts on their way to the disk, by turn: a second request with the same id waits and sees what the first has stored. */
  const accepting = new Map<string, Promise<Accepted>>()

  const accept: Session['execute'] = async ({ turnId, content, userId }) => {
    const known = await events.findPrompt(sessionId, turnId)
    if (known === undefined) return { turnId, seq: (await post({ type: 'execute', turnId, content, userId })).seq }
    if (JSON.stringify(known.content) !== JSON.stringify(content))
      throw new AppError('turn_conflict', `The id ${turnId} was used for another prompt in this session.`)
    return { turnId, seq: known.seq }
  }

  const execute: Session['execute'] = (prompt) => {
    const earlier = accepting.get(prompt.turnId) ?? Promise.resolve()
    const accepted = earlier.then(
      () => accept(prompt),
      () => accept(prompt),
    )
    accepting.set(prompt.turnId, accepted)
    const settle = (): void => {
      if (accepting.get(prompt.turnId) === accepted) accepting.delete(prompt.turnId)
    }
    accepted.then(settle, settle)
    return accepted
  }

  return {
    record: () => record,
    start: async () => void (await post({ type: 'start' })),
    execute,
    interrupt: async () => {
      const turnId = record.state.turn?.id
      await post({ type: 'interrupt' })
      return { turnId: turnId ?? '' }
    },
    answer: async (answer) => void (await post({ type: 'answer', ...answer })),
    update: async (changes) => void (await post({ type: 'update', ...changes })),
    close: async (reason) => void (await post({ type: 'close', reason })),
    follow: (after, signal) => {
      if (after.seq > feed.lastSeq())
        throw new AppError(
          'invalid_cursor',
          `The log of this session ends at ${feed.lastSeq()}; ${after.seq} is past it.`,
        )
      return follow({ events, feed, sessionId, after, signal: AbortSignal.any([signal, lifetime.signal]) })
    },
    restore: link.restore,
    release: async () => {
      lifetime.abort()
      await link.release()
      await mailbox.drained()
    },
    forget: () => feed.end(),
  }
}

/** Whether anything but the reading position differs. */
const stateChanged = (before: SessionRecord, after: SessionRecord): boolean =>
  before !== after &&
  (before.name !== after.name ||
    before.model !== after.model ||
    before.permissionMode !== after.permissionMode ||
    JSON.stringify(before.state) !== JSON.stringify(after.state))
