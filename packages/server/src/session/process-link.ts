import { setTimeout as delay } from 'node:timers/promises'
import type { ContentBlock, ErrorCode, FailureCode } from '@aicm/protocol'
import { encode, type AgentCommand } from '../claude/encode.ts'
import { AppError } from '../lib/app-error.ts'
import { BreakerOpenError, type Breaker } from '../lib/breaker.ts'
import { isOutOfSpace } from '../lib/disk-full.ts'
import type { Log } from '../lib/log.ts'
import { unreachable } from '../lib/unreachable.ts'
import type { SessionProcess } from '../process/session-process.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import { ingest, type Ingested } from './ingest.ts'
import type { Effect, Input } from './input.ts'
import { continuationText } from './cut-off.ts'
import type { RunningProcesses } from './processes.ts'
import { watchSilence, type SilenceLimits } from './silence.ts'
import type { ProcessSlots, Slot } from './slots.ts'
import type { Spare } from './spares.ts'

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
} & LinkDeps

/** What every session of the server shares. */
export type LinkDeps = {
  events: EventStore
  processes: RunningProcesses
  slots: ProcessSlots
  /** Of starting claude: open while it cannot be started. */
  starts: Breaker
  limits: WatchLimits
  /** How much of the model's answers that are under way has reached a session. */
  sentBytes(sessionId: string): Promise<number | undefined>
  /** The server has closed a session by itself. `reason` is a word. Must not throw. */
  onClosed(session: SessionRecord, reason: string): void
  /** Whether a prompt is the owner's has changed in the session's stored state. Resolves when the broker knows it. */
  onGuest(ownerId: string): Promise<void>
  log: Log
}

/** How long what takes long is waited for, in milliseconds. */
export type WatchLimits = SilenceLimits & {
  /** From the start of claude until it takes prompts. */
  startMs: number
  /** For the result, when claude says that it is idle. */
  resultMs: number
  /** From the last sign of life of a resting claude until it is asked for one, and until it must have answered. */
  pingMs: number
  pongMs: number
  /** From SIGTERM to SIGKILL. */
  graceMs: number
}

/** A start that failed, for the breaker. */
class StartFailure extends Error {}

/** What was wrong with one session only, or with the disk, is none. */
export const isStartFailure = (error: unknown): boolean =>
  error instanceof AppError ? error.code === 'claude_unavailable' : !isOutOfSpace(error)

type Prompt = { turnId: string; content: ContentBlock[] }

/** The session's tie to its process: performs the effects of its steps, and tells it what the process says and how it ends. */
export type ProcessLink = {
  /** Never throws: what fails comes back as an input. */
  perform(effect: Effect): void
  /** A prompt that is being stored; undefined when it is. */
  arrives(prompt: Prompt | undefined): void
  /** After each change of the session. */
  observe(): void
  checkLiveness(): void
  /** Resolves when there is no process, or it has ended. */
  ended(): Promise<void>
  /** Takes over a process that was started ahead. */
  take(spare: Pick<Spare, 'process' | 'slot'>): void
  /** Takes over what the last server left running, or finds out that it has ended. */
  restore(): Promise<void>
  /** After `lifetime` was aborted: lets go of the process, which goes on, and resolves when nothing is under way. */
  release(): Promise<void>
}

/** One that was stopped for a minute is told of, and not ended. */
const looksAtUnresponsive = 4

/** What a launch that was refused means for the session. */
const launchCodes: Partial<Record<ErrorCode, FailureCode>> = {
  claude_unavailable: 'claude_missing',
  workspace_not_found: 'workspace_missing',
}

const launchFailure = (error: unknown): FailureCode | undefined =>
  isOutOfSpace(error) ? 'disk_full' : error instanceof AppError ? launchCodes[error.code] : undefined

/** How long a storage failure is waited for before what a process said is offered to the log again. */
const storageRetryMs = 500

export const createProcessLink = ({
  id: sessionId,
  post,
  deliver,
  lifetime,
  events,
  processes,
  slots,
  starts,
  limits,
  onClosed,
  log,
  ...session
}: LinkedSession): ProcessLink => {
  let process: SessionProcess | undefined
  let slot: Slot | undefined
  /** Called when the process that was started takes prompts. */
  let onReady: (() => void) | undefined
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

  /** What the broker was told of this session since it was loaded; a session that had no guest needs not be told of. */
  let toldGuest = session.record().state.guest === undefined ? false : undefined
  let telling: Promise<void> | undefined

  /**
   * Before the prompt is given: no call for a guest's is made that the broker takes for one for the owner's. Undefined when
   * there was nothing to tell it yet.
   */
  const tellGuest = (): Promise<void> | undefined => {
    const { state, userId } = session.record()
    const guest = state.guest === true
    if (guest !== toldGuest) telling = (telling ?? Promise.resolve()).then(() => insist(() => session.onGuest(userId)))
    toldGuest = guest
    return telling
  }

  /** It is being stored, and need not be read back when it is given to claude at once. */
  let arriving: Prompt | undefined

  const sendPrompt = async (turnId: string, promptId: string): Promise<void> => {
    const target = process
    const known = arriving?.turnId === turnId ? arriving : undefined
    // Everything that can wait comes behind the prompt: most are given to claude before this returns.
    const told = tellGuest()
    if (told !== undefined) await told
    if (lifetime.aborted) return
    const content: ContentBlock[] | undefined =
      promptId === turnId
        ? (known ?? (await events.findPrompt(sessionId, turnId)))?.content
        : [{ type: 'text', text: continuationText }]
    if (content !== undefined && process === target) send({ kind: 'prompt', turnId: promptId, content })
  }

  let startTimer: NodeJS.Timeout | undefined

  const perform = (effect: Effect): void => {
    switch (effect.type) {
      case 'launch':
        launching = launchProcess(effect.generation, effect.delayMs)
        return
      case 'stop':
        return stop(effect.generation)
      case 'report-closed':
        return onClosed(session.record(), effect.code)
      case 'watch-result':
        setTimeout(() => {
          const { generation, turnId } = effect
          void insist(() => post({ type: 'result.missing', generation, turnId }))
        }, limits.resultMs).unref()
        return
      case 'wake':
        return wake(effect.at)
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
        if (approval?.requestId != null && approval.answer !== null)
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

  /** A timer waits for less than a month; a clock that was set meanwhile is asked again. */
  const wake = (at: number): void => {
    const timer = setTimeout(
      () => (Date.now() < at ? wake(at) : void insist(() => post({ type: 'limit.over', until: at }))),
      Math.min(Math.max(0, at - Date.now()), 2 ** 31 - 1),
    )
    timer.unref()
    lifetime.addEventListener('abort', () => clearTimeout(timer), { once: true })
  }

  const stop = (generation: number): void => {
    void process?.stop(limits.graceMs, () => {
      void insist(() => post({ type: 'stop.ignored', generation, afterMs: limits.graceMs }))
    })
  }

  const silence = watchSilence({
    limits,
    record: session.record,
    sentBytes: session.sentBytes,
    onSilent: (silent) => void insist(() => post({ type: 'turn.silent', ...silent })),
  })

  const observe = (): void => {
    silence.observe()
    // It would keep all of a session that sleeps in memory.
    const { process: phase, turn, status } = session.record().state
    if (status === 'closed') processes.revoke(sessionId)
    if (phase !== 'starting' && phase !== 'loading') clearTimeout(startTimer)
    if (phase !== 'ready') return
    if (turn === null) slots.reconsider()
    slot?.started()
    onReady?.()
  }

  let heardAt = performance.now()
  let pinged = false

  const checkLiveness = (): void => {
    const { generation, process: phase, turn } = session.record().state
    const asked = performance.now()
    if (pinged || phase !== 'ready' || turn !== null || asked - heardAt < limits.pingMs) return
    pinged = true
    send({ kind: 'ping', requestId: String(generation) })
    const look = async (left: number): Promise<void> => {
      await pause(limits.pongMs)
      if (heardAt > asked || lifetime.aborted) return
      await insist(() => post({ type: 'unresponsive', generation, forMs: performance.now() - asked, lost: left === 0 }))
      if (left > 0) await look(left - 1)
    }
    void look(looksAtUnresponsive - 1).finally(() => (pinged = false))
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
    const own = await roomFor(generation)
    if (own === undefined) return
    // Closed while it waited for room.
    if (!wants(generation)) {
      own.release()
      return insist(() => post({ type: 'process.exited', generation, exit: { code: null, signal: null }, stderr: '' }))
    }
    const launched = Promise.withResolvers<void>()
    // The breaker is told how it went when claude takes prompts or has ended; the launch is over before that.
    const tried = starts.run(() => start(generation, own, launched.resolve))
    tried.catch(() => undefined)
    await Promise.race([launched.promise, tried]).catch(async (error: unknown) => {
      own.release()
      if (error instanceof BreakerOpenError) return retryLater(generation)
      const message = error instanceof Error ? error.message : String(error)
      return insist(() => post({ type: 'launch.failed', generation, message, code: launchFailure(error) }))
    })
  }

  /** Undefined when the server lets go of the session meanwhile. */
  const roomFor = (generation: number): Promise<Slot | undefined> =>
    slots
      .acquire({
        userId: session.record().userId,
        signal: lifetime,
        onWait: (ahead, shortage) => {
          const why = shortage === undefined ? '' : ` ${shortage.reason}`
          const text = `Waiting for room for a process: ${ahead === 0 ? 'next in turn' : `${ahead} ahead`}.${why}`
          void insist(() => post({ type: 'launch.waiting', generation, text }))
        },
      })
      .catch(() => undefined)

  /** Others have failed to start claude again and again: it is left alone for a while. */
  const retryLater = async (generation: number): Promise<void> => {
    const text = `claude could not be started several times in a row; the next try is in ${starts.retryAfter} s.`
    await insist(() => post({ type: 'launch.waiting', generation, text }))
    return launchProcess(generation, starts.retryAfter * 1000)
  }

  /** Resolves when claude takes prompts; rejects when it has ended before. `onLaunched` is called when its process is there. */
  const start = async (generation: number, own: Slot, onLaunched: () => void): Promise<void> => {
    let reported: Promise<void> | undefined
    const settings = session.record()
    const started = await processes.start(settings, {
      onFound: ({ transcript, repairs }) => {
        const openTools = transcript?.openToolUses.map(({ id }) => id) ?? []
        if (openTools.length > 0 || repairs.length > 0)
          reported = insist(() => post({ type: 'found', generation, openTools, repairs }))
      },
    })
    // Before anything that claude says.
    await reported
    if (lifetime.aborted) {
      own.release()
      onLaunched()
      const stays = wants(generation) && session.record().state.process !== 'stopping'
      return stays ? started.release() : discard(started)
    }
    process = started
    slot = own
    const ready = new Promise<void>((resolve) => (onReady = resolve))
    if (wants(generation)) {
      const { model, permissionMode } = settings
      void insist(() => post({ type: 'launched', generation, settings: { model, permissionMode } }))
      watchStart(generation)
    } else stop(generation)
    void watch(started, generation, 0, 0)
    onLaunched()
    const ended = started.exited.then((exit) => {
      const wanted = wants(generation) && session.record().state.process !== 'stopping'
      if (wanted && !lifetime.aborted && exit.diskFull !== true)
        throw new StartFailure(`claude ended with ${exit.signal ?? `exit code ${exit.code}`} before it was ready.`)
    })
    await Promise.race([ready, ended])
  }

  /** A process that hangs at its start would hold its prompts for ever. Asked late it changes nothing: see step. */
  const watchStart = (generation: number): void => {
    clearTimeout(startTimer)
    startTimer = setTimeout(() => {
      void insist(() => post({ type: 'start.timeout', generation, afterMs: limits.startMs }))
    }, limits.startMs).unref()
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
      deliver: (ingested) => {
        heardAt = performance.now()
        silence.heard()
        return insist(() => deliver(ingested))
      },
    }).catch((error: unknown) => {
      log.error({ err: error }, 'the journal could not be read')
      // A process that nobody hears is as good as dead; its replacement may be heard.
      if (!lifetime.aborted) void watched.stop(limits.graceMs)
    })
    if (lifetime.aborted) return
    const exit = await watched.exited
    const stderr = await watched.stderrTail()
    if (process === watched) {
      process = undefined
      slot?.release()
    }
    await insist(() => post({ type: 'process.exited', generation, exit, stderr }))
    if (!lifetime.aborted) await forgetProcess(watched)
  }

  const restore = async (): Promise<void> => {
    const { generation } = session.record().state
    const found = await processes.adopt(session.record())
    if (found === undefined) return insist(() => post({ type: 'adopted', alive: false }))
    process = found.process
    slot = slots.hold(session.record().userId)
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
    if (session.record().state.process === 'loading') watchStart(generation)
  }

  return {
    perform,
    arrives: (prompt) => {
      arriving = prompt
    },
    observe,
    checkLiveness,
    take: (spare) => {
      const { generation } = session.record().state
      process = spare.process
      slot = spare.slot
      watchStart(generation)
      void watch(spare.process, generation, 0, 0)
    },
    ended: async () => {
      await launching
      await process?.exited
    },
    restore,
    release: async () => {
      silence.stop()
      clearTimeout(startTimer)
      slot?.release()
      process?.release()
      await launching
    },
  }
}
