import type { Accepted, ContentBlock, Cursor, Decision, Message, StreamItem } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId, newUuid } from '../lib/id.ts'
import { createMailbox } from '../lib/mailbox.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { createFeed, type Batch } from './feed.ts'
import { batchesOf, follow, type Batches } from './follow.ts'
import type { Ingested } from './ingest.ts'
import type { Effect, Input } from './input.ts'
import { createProcessLink, type LinkDeps } from './process-link.ts'
import type { RecoveryPolicy } from './recovery.ts'
import type { Spare } from './spares.ts'
import { step } from './step.ts'
import type { StepContext } from './work.ts'

export type SessionDeps = LinkDeps & {
  policy: RecoveryPolicy
  /** See StepContext for both. */
  billed(userId: string): boolean
  servesGuests(userId: string): boolean
  clock: Clock
}

/** A session of this node, as its clients use it. Refusals reject with AppError. */
export type Session = {
  /** As of the last durable event. */
  record(): SessionRecord
  start(): Promise<void>
  /** Instead of `start`: its process is there already. */
  take(spare: Spare): void
  /**
   * Resolves when the prompt is on disk. The same turnId with the same content again resolves to the same turn; with `isNew`
   * that is not looked for. `onWritten` as with EventStore.append; not called for a prompt that was there.
   */
  execute(prompt: {
    turnId: string
    isNew?: boolean
    content: ContentBlock[]
    userId: string
    onWritten?: () => void
  }): Promise<Accepted>
  interrupt(): Promise<{ turnId: string }>
  answer(answer: { approvalId: string; decision: Decision; userId: string }): Promise<void>
  update(changes: Omit<Extract<Input, { type: 'update' }>, 'type'>): Promise<void>
  close(reason: string): Promise<void>
  /** Ends a process that nothing needs; the next prompt starts another. */
  hibernate(): Promise<void>
  /** Ends what runs and what waits, and its process. */
  halt(why: Omit<Extract<Input, { type: 'halt' }>, 'type'>): Promise<void>
  /** Asks a resting process for a sign of life, if it has given none for long. */
  checkLiveness(): void
  /** Ends its process for good; a turn that runs goes on with the next server. Resolves when it has ended. */
  suspend(): Promise<void>
  /** Milliseconds since anything happened to it; undefined while it is at work. */
  idleMs(): number | undefined
  /** Readers of its stream. */
  followers(): number
  follow(after: Cursor, signal: AbortSignal): Batches
  /** Takes over what the last server left running, or finds out that it has ended. */
  restore(): Promise<void>
  /** Lets go of the process, which goes on, and resolves when nothing of this session is being written any more. */
  release(): Promise<void>
  /** For deletion: ends its followers. It must be closed before. */
  forget(): void
}

type Envelope =
  | {
      kind: 'input'
      input: Input
      onWritten?: () => void
      resolve: (accepted: { seq: number }) => void
      reject: (error: unknown) => void
    }
  | { kind: 'ingested'; ingested: Ingested; resolve: () => void; reject: (error: unknown) => void }

export const createSession = (initial: SessionRecord, deps: SessionDeps): Session => {
  const { id: sessionId } = initial
  const { events, clock } = deps
  const log = deps.log.child({ sessionId, userId: initial.userId })
  const feed = createFeed(initial.lastSeq)
  const context: StepContext = {
    policy: deps.policy,
    random: Math.random,
    get billed() {
      return deps.billed(initial.userId)
    },
    get servesGuests() {
      return deps.servesGuests(initial.userId)
    },
    newUuid,
    newApprovalId: () => newId('apr', clock.now()),
  }
  const lifetime = new AbortController()
  let record = initial
  let active = performance.now()
  let followers = 0

  const counted = (batches: Batches): Batches => {
    let counts = false
    const count = (reads: boolean): void => {
      if (reads !== counts) followers += reads ? 1 : -1
      counts = reads
    }
    const next = async (): Promise<Batch | undefined> => {
      count(true)
      let batch: Batch | undefined
      try {
        batch = (await batches.next()).value ?? undefined
        return batch
      } finally {
        if (batch === undefined) count(false)
      }
    }
    return batchesOf(next, () => count(false))
  }

  /** The one consumer: everything that happens to the session goes through here, in order. */
  const consume = async (batch: Envelope[]): Promise<void> => {
    let next = record
    const messages: Message[] = []
    const items: StreamItem[] = []
    const effects: Effect[] = []
    const settled: (() => void)[] = []
    const written: (() => void)[] = []
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
          if (envelope.onWritten !== undefined) written.push(envelope.onWritten)
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
      active = performance.now()
      for (const effect of effects) link.perform(effect)
      link.observe()
      for (const tell of written) tell()
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
  const post = (input: Input, onWritten?: () => void): Promise<{ seq: number }> =>
    new Promise((resolve, reject) => mailbox.post({ kind: 'input', input, onWritten, resolve, reject }))

  const link = createProcessLink({
    ...deps,
    id: sessionId,
    record: () => record,
    post,
    deliver: (ingested) =>
      new Promise((resolve, reject) => mailbox.post({ kind: 'ingested', ingested, resolve, reject })),
    lifetime: lifetime.signal,
    log,
  })

  /** Prompts on their way to the disk, by turn: a second request with the same id waits and sees what the first has stored. */
  const accepting = new Map<string, Promise<Accepted>>()

  const accept: Session['execute'] = async ({ turnId, isNew, content, userId, onWritten }) => {
    const known = isNew === true ? undefined : await events.findPrompt(sessionId, turnId)
    // Found out here rather than after the prompt was accepted.
    if (known === undefined && record.state.process === 'none') assertCanStart(deps)
    if (known === undefined) {
      link.arrives({ turnId, content })
      try {
        return { turnId, seq: (await post({ type: 'execute', turnId, content, userId }, onWritten)).seq }
      } finally {
        link.arrives(undefined)
      }
    }
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
    take: link.take,
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
    hibernate: async () => void (await post({ type: 'hibernate', generation: record.state.generation })),
    halt: async (why) => void (await post({ type: 'halt', ...why })),
    checkLiveness: link.checkLiveness,
    suspend: async () => {
      await post({ type: 'suspend', generation: record.state.generation })
      const ended = link.ended()
      // Its end is the next server's to see.
      lifetime.abort()
      await ended
    },
    idleMs: () => {
      const { status, turn, queue, process } = record.state
      const busy = turn !== null || queue.length > 0 || (process !== 'none' && process !== 'ready')
      const resting = (status === 'idle' || status === 'closed') && !busy && accepting.size === 0
      return resting ? performance.now() - active : undefined
    },
    followers: () => followers,
    follow: (after, signal) => {
      if (after.seq > feed.lastSeq())
        throw new AppError(
          'invalid_cursor',
          `The log of this session ends at ${feed.lastSeq()}; ${after.seq} is past it.`,
        )
      return counted(follow({ events, feed, sessionId, after, signal: AbortSignal.any([signal, lifetime.signal]) }))
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

/** Throws what keeps a new process from being started, before anything is accepted that would need one. */
export const assertCanStart = ({ starts, slots }: Pick<LinkDeps, 'starts' | 'slots'>): void => {
  if (starts.state() === 'open') {
    const reason = starts.reason()
    throw new AppError(
      'claude_unavailable',
      `claude could not be started several times in a row. ${reason instanceof Error ? reason.message : ''}`.trim(),
      { retryAfter: starts.retryAfter },
    )
  }
  slots.assertRoom()
}
