import { setTimeout as delay } from 'node:timers/promises'
import type { Accepted, ContentBlock, Cursor, Decision, Message, StreamItem } from '@aicm/protocol'
import type { AgentCommand } from '../claude/encode.ts'
import { encode } from '../claude/encode.ts'
import { AppError } from '../lib/app-error.ts'
import { isoTime, type Clock } from '../lib/clock.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { Log } from '../lib/log.ts'
import { createMailbox } from '../lib/mailbox.ts'
import { unreachable } from '../lib/unreachable.ts'
import type { SessionProcess } from '../process/session-process.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { createFeed, type Batch } from './feed.ts'
import { follow } from './follow.ts'
import { ingest, type Ingested } from './ingest.ts'
import type { Effect, Input } from './input.ts'
import { continuationText } from './outputs.ts'
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

const stopGraceMs = 5000
/** How long a storage failure is waited for before what a process said is offered to the log again. */
const storageRetryMs = 500

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
  let process: SessionProcess | undefined
  let launching: Promise<void> = Promise.resolve()

  // --- one consumer: everything that happens to the session goes through here, in order -------------------------------

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
      try {
        if (envelope.kind === 'ingested') {
          take(envelope.ingested)
          settled.push(envelope.resolve)
        } else {
          const accepted = apply(envelope.input)
          settled.push(() => envelope.resolve(accepted))
        }
      } catch (error) {
        envelope.reject(error)
      }
    }

    if (messages.length > 0 || stateChanged(record, next)) {
      next = { ...next, updatedAt: clock.now() }
      try {
        await events.append({ record: next, expectedSeq: record.lastSeq, events: messages })
      } catch (error) {
        log.error({ err: error }, 'events could not be stored')
        for (const envelope of batch) envelope.reject(error)
        return
      }
    }
    record = next
    feed.publish(items)
    for (const settle of settled) settle()
    for (const effect of effects) perform(effect)
  }

  const mailbox = createMailbox(consume)
  const post = (input: Input): Promise<{ seq: number }> =>
    new Promise((resolve, reject) => mailbox.post({ kind: 'input', input, resolve, reject }))

  const pause = (ms: number): Promise<void> => delay(ms, undefined, { signal: lifetime.signal }).catch(() => undefined)

  /** For what must not get lost: a failing storage is waited for. */
  const insist = async (attempt: () => Promise<unknown>): Promise<void> => {
    while (!lifetime.signal.aborted) {
      try {
        await attempt()
        return
      } catch {
        await pause(storageRetryMs)
      }
    }
  }

  // --- effects --------------------------------------------------------------------------------------------------------

  const send = (command: AgentCommand): void => {
    // A process that cannot be written to has ended or will: its end is what is acted on.
    process?.write(encode(command)).catch((error: unknown) => log.warn({ err: error }, 'the process does not read'))
  }

  const sendPrompt = async (turnId: string, promptId: string): Promise<void> => {
    const target = process
    const prompt = await events.findPrompt(sessionId, turnId)
    const content: ContentBlock[] | undefined =
      promptId === turnId ? prompt?.content : [{ type: 'text', text: continuationText }]
    if (content !== undefined && process === target) send({ kind: 'prompt', turnId: promptId, content })
  }

  const perform = (effect: Effect): void => {
    switch (effect.type) {
      case 'launch':
        launching = launchProcess(effect.generation, effect.delayMs)
        return
      case 'stop':
        void process?.stop(stopGraceMs)
        return
      case 'initialize':
      case 'interrupt':
        return send({ kind: effect.type })
      case 'prompt':
        void sendPrompt(effect.turnId, effect.promptId).catch((error: unknown) =>
          log.error({ err: error }, 'the prompt could not be read back'),
        )
        return
      case 'answer': {
        const approval = record.state.approvals.find((open) => open.approvalId === effect.approvalId)
        if (approval !== undefined && approval.answer !== null)
          send({ kind: 'answer', requestId: approval.requestId, answer: approval.answer })
        return
      }
      case 'refuse':
        return send({
          kind: 'refuse',
          requestId: effect.requestId,
          message: `This server does not offer ${effect.subtype}.`,
        })
      case 'set-model':
        return send({ kind: 'set-model', model: effect.model })
      case 'set-permission-mode':
        return send({ kind: 'set-permission-mode', mode: effect.mode })
      default:
        return unreachable(effect)
    }
  }

  // --- the process ----------------------------------------------------------------------------------------------------

  const wants = (generation: number): boolean =>
    record.state.generation === generation && record.state.status !== 'closed'

  /** Never rejects. */
  const launchProcess = async (generation: number, delayMs: number): Promise<void> => {
    if (delayMs > 0) await pause(delayMs)
    // Closed before it was started: nothing is left to end.
    if (!wants(generation))
      return insist(() => post({ type: 'process.exited', generation, exit: { code: null, signal: null }, stderr: '' }))
    if (lifetime.signal.aborted) return
    let started: SessionProcess
    try {
      started = await deps.processes.start(record)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      return insist(() => post({ type: 'launch.failed', generation, message }))
    }
    if (lifetime.signal.aborted) return wants(generation) ? started.release() : discard(started)
    process = started
    if (wants(generation)) send({ kind: 'initialize' })
    else void started.stop(stopGraceMs)
    void watch(started, generation, 0, 0)
  }

  /** Deleted while its process was being started. */
  const discard = async (started: SessionProcess): Promise<void> => {
    await started.stop(0)
    await forgetProcess(started)
  }

  /** What stays on record is swept up at the next start of the server. */
  const forgetProcess = (ended: SessionProcess): Promise<void> =>
    deps.processes
      .forget(sessionId, ended)
      .catch((error: unknown) => log.warn({ err: error }, 'the files of an ended process were left behind'))

  /** Reads a process to its end and tells the session of it. Never rejects. */
  const watch = async (
    watched: SessionProcess,
    generation: number,
    from: number,
    storedTo: number,
    onCaughtUp?: () => void,
  ): Promise<void> => {
    await ingest({
      process: watched,
      generation,
      from,
      storedTo,
      onCaughtUp,
      deliver: (ingested) =>
        insist(
          () => new Promise<void>((resolve, reject) => mailbox.post({ kind: 'ingested', ingested, resolve, reject })),
        ),
    }).catch((error: unknown) => {
      log.error({ err: error }, 'the journal could not be read')
      // A process that nobody hears is as good as dead; its replacement may be heard.
      if (!lifetime.signal.aborted) void watched.stop(stopGraceMs)
    })
    if (lifetime.signal.aborted) return
    const exit = await watched.exited
    const stderr = await watched.stderrTail()
    if (process === watched) process = undefined
    await insist(() => post({ type: 'process.exited', generation, exit, stderr }))
    if (!lifetime.signal.aborted) await forgetProcess(watched)
  }

  const restore = async (): Promise<void> => {
    const { generation } = record.state
    const found = await deps.processes.adopt(record)
    if (found === undefined) return insist(() => post({ type: 'adopted', alive: false }))
    process = found.process
    const storedTo = record.source?.generation === generation ? record.source.offset : 0
    await new Promise<void>((resolve) => {
      void watch(found.process, generation, Math.min(found.checkpoint, storedTo), storedTo, resolve).then(resolve)
    })
    if (!found.alive || process !== found.process) return
    // The last server may have died in the middle of a line: it ends here. claude takes an empty line for nothing, and half
    // a line for a reason to stop, after which the prompt is given to a new process.
    // Not waited for: what is written after it keeps its place, and a claude that does not read must not hold up the start.
    void found.process.write('\n').catch(() => undefined)
    await insist(() => post({ type: 'adopted', alive: true }))
  }

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
    restore,
    release: async () => {
      lifetime.abort()
      process?.release()
      await launching
      await mailbox.drained()
    },
    forget: () => feed.end(),
  }
}

/** Whether anything but the reading position differs: that alone is not worth a write. */
const stateChanged = (before: SessionRecord, after: SessionRecord): boolean =>
  before !== after &&
  (before.name !== after.name ||
    before.model !== after.model ||
    before.permissionMode !== after.permissionMode ||
    JSON.stringify(before.state) !== JSON.stringify(after.state))
