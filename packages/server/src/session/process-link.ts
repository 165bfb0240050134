import { setTimeout as delay } from 'node:timers/promises'
import type { ContentBlock } from '@aicm/protocol'
import { encode, type AgentCommand } from '../claude/encode.ts'
import type { Log } from '../lib/log.ts'
import { unreachable } from '../lib/unreachable.ts'
import type { SessionProcess } from '../process/session-process.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { ingest, type Ingested } from './ingest.ts'
import type { Effect, Input } from './input.ts'
import { continuationText } from './outputs.ts'
import type { RunningProcesses } from './processes.ts'

/** What the link asks of its session. */
export type LinkedSession = {
  id: string
  record(): SessionRecord
  /** Rejects when it could not be stored. */
  post(input: Input): Promise<unknown>
  /** What the process said: rejects when it could not be stored. */
  deliver(ingested: Ingested): Promise<void>
  /** Aborted when the server lets go of the session. */
  lifetime: AbortSignal
  startTimeoutMs: number
  events: EventStore
  processes: RunningProcesses
  log: Log
}

/** The session's tie to its process: performs the effects of its steps, and tells it what the process says and how it ends. */
export type ProcessLink = {
  /** Never throws: what fails comes back as an input. */
  perform(effect: Effect): void
  /** Takes over what the last server left running, or finds out that it has ended. */
  restore(): Promise<void>
  /** After `lifetime` was aborted: lets go of the process, which goes on, and resolves when nothing is under way. */
  release(): Promise<void>
}

const stopGraceMs = 5000
/** How long a storage failure is waited for before what a process said is offered to the log again. */
const storageRetryMs = 500

export const createProcessLink = ({
  id: sessionId,
  post,
  deliver,
  lifetime,
  startTimeoutMs,
  events,
  processes,
  log,
  ...session
}: LinkedSession): ProcessLink => {
  let process: SessionProcess | undefined
  let launching: Promise<void> = Promise.resolve()

  const pause = (ms: number): Promise<void> => delay(ms, undefined, { signal: lifetime }).catch(() => undefined)

  /** For what must not get lost: a failing storage is waited for. */
  const insist = async (attempt: () => Promise<unknown>): Promise<void> => {
    while (!lifetime.aborted) {
      try {
        await attempt()
        return
      } catch {
        await pause(storageRetryMs)
      }
    }
  }

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
        const approval = session.record().state.approvals.find((open) => open.approvalId === effect.approvalId)
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

  const wants = (generation: number): boolean => {
    const { state } = session.record()
    return state.generation === generation && state.status !== 'closed'
  }

  /** Never rejects. */
  const launchProcess = async (generation: number, delayMs: number): Promise<void> => {
    if (delayMs > 0) await pause(delayMs)
    // Closed before it was started: nothing is left to end.
    if (!wants(generation))
      return insist(() => post({ type: 'process.exited', generation, exit: { code: null, signal: null }, stderr: '' }))
    if (lifetime.aborted) return
    let started: SessionProcess
    try {
      started = await processes.start(session.record())
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      return insist(() => post({ type: 'launch.failed', generation, message }))
    }
    if (lifetime.aborted) return wants(generation) ? started.release() : discard(started)
    process = started
    if (wants(generation)) {
      send({ kind: 'initialize' })
      watchStart(generation)
    } else void started.stop(stopGraceMs)
    void watch(started, generation, 0, 0)
  }

  /** A process that hangs at its start would hold its prompts for ever. Asked late it changes nothing: see step. */
  const watchStart = (generation: number): void => {
    setTimeout(() => {
      void insist(() => post({ type: 'start.timeout', generation, afterMs: startTimeoutMs }))
    }, startTimeoutMs).unref()
  }

  /** Deleted while its process was being started. */
  const discard = async (started: SessionProcess): Promise<void> => {
    await started.stop(0)
    await forgetProcess(started)
  }

  /** What stays on record is swept up at the next start of the server. */
  const forgetProcess = (ended: SessionProcess): Promise<void> =>
    processes
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
      deliver: (ingested) => insist(() => deliver(ingested)),
    }).catch((error: unknown) => {
      log.error({ err: error }, 'the journal could not be read')
      // A process that nobody hears is as good as dead; its replacement may be heard.
      if (!lifetime.aborted) void watched.stop(stopGraceMs)
    })
    if (lifetime.aborted) return
    const exit = await watched.exited
    const stderr = await watched.stderrTail()
    if (process === watched) process = undefined
    await insist(() => post({ type: 'process.exited', generation, exit, stderr }))
    if (!lifetime.aborted) await forgetProcess(watched)
  }

  const restore = async (): Promise<void> => {
    const { generation } = session.record().state
    const found = await processes.adopt(session.record())
    if (found === undefined) return insist(() => post({ type: 'adopted', alive: false }))
    process = found.process
    const { source } = session.record()
    const storedTo = source?.generation === generation ? source.offset : 0
    await new Promise<void>((resolve) => {
      void watch(found.process, generation, Math.min(found.checkpoint, storedTo), storedTo, resolve).then(resolve)
    })
    if (!found.alive || process !== found.process) return
    // The last server may have died in the middle of a line: it ends here. claude takes an empty line for nothing, and half
    // a line for a reason to stop, after which the prompt is given to a new process.
    // Not waited for: what is written after it keeps its place, and a claude that does not read must not hold up the start.
    void found.process.write('\n').catch(() => undefined)
    await insist(() => post({ type: 'adopted', alive: true }))
    if (session.record().state.process === 'starting') watchStart(generation)
  }

  return {
    perform,
    restore,
    release: async () => {
      process?.release()
      await launching
    },
  }
}
