import { AppError } from '../lib/app-error.ts'

/** The right to have a process. `started`: it takes prompts now, and the next one may start. Both are harmless again. */
export type Slot = { started(): void; release(): void }

/**
 * How many processes there may be: by number, by memory, and by how many start at once (a start takes half a second of a
 * core: all at once, none would be ready in time). Whoever waits is served in turn by user, so that nobody's hundred keep
 * another's one waiting.
 */
export type ProcessSlots = {
  /** Waits until there is room. `onWait` is called if that is not at once. Rejects when `signal` is aborted. */
  acquire(ask: { userId: string; signal: AbortSignal; onWait: (ahead: number) => void }): Promise<Slot>
  /** At once or not at all: for what nobody waits for. */
  tryAcquire(): Slot | undefined
  /** For a process that is there already. */
  hold(): Slot
  /** A process may be spared now that could not be before. */
  reconsider(): void
  /** Throws out_of_capacity where a new process would have to wait for memory that nobody gives back. */
  assertRoom(): void
  counts(): { live: number; starting: number; waiting: number }
}

export type SlotLimits = { maxLive: number; maxStarting: number }

type Waiting = { grant(slot: Slot): void }

/** Memory comes back without telling anybody. */
const memoryPollMs = 1000

export const createSlots = (options: {
  limits: SlotLimits
  /** Why there is no memory for one more process; undefined where there is. */
  shortage(): string | undefined
  /** Asks the process that is missed least to end, and tells whether it will. Undefined when all are needed. */
  makeRoom(): Promise<boolean> | undefined
}): ProcessSlots => {
  const { limits, shortage, makeRoom } = options
  /** The first user is the next to be served; whoever was served goes to the end. */
  const queues = new Map<string, Waiting[]>()
  let live = 0
  let starting = 0
  /** Asked to end and not gone yet. */
  let leaving = 0
  let poll: NodeJS.Timeout | undefined

  const waiting = (): number => [...queues.values()].reduce((sum, queue) => sum + queue.length, 0)

  const take = (isStarting: boolean): Slot => {
    let held = true
    let isNew = isStarting
    live++
    if (isNew) starting++
    const started = (): void => {
      if (!isNew) return
      isNew = false
      starting--
      pump()
    }
    return {
      started,
      release: () => {
        if (!held) return
        held = false
        live--
        leaving = Math.max(0, leaving - 1)
        started()
        pump()
      },
    }
  }

  const nextInTurn = (): Waiting | undefined => {
    for (const [userId, queue] of queues) {
      queues.delete(userId)
      const next = queue.shift()
      if (queue.length > 0) queues.set(userId, queue)
      if (next !== undefined) return next
    }
    return undefined
  }

  const askToLeave = (): boolean => {
    const leaves = makeRoom()
    if (leaves === undefined) return false
    leaving++
    void leaves.then((will) => {
      // It was given work in the meantime.
      if (will) return
      leaving--
      pump()
    })
    return true
  }

  const pump = (): void => {
    clearTimeout(poll)
    while (queues.size > 0 && starting < limits.maxStarting) {
      const short = shortage() !== undefined
      if (live >= limits.maxLive || short) {
        while (leaving < waiting() && askToLeave());
        if (short) poll = setTimeout(pump, memoryPollMs).unref()
        return
      }
      nextInTurn()?.grant(take(true))
    }
  }

  return {
    acquire: ({ userId, signal, onWait }) =>
      new Promise((resolve, reject) => {
        const settle = (): void => {
          const queue = queues.get(userId)?.filter((other) => other !== one) ?? []
          if (queue.length > 0) queues.set(userId, queue)
          else queues.delete(userId)
          reject(new AppError('not_ready', 'The server lets go of its sessions.'))
        }
        let granted = false
        const one: Waiting = {
          grant: (slot) => {
            granted = true
            signal.removeEventListener('abort', settle)
            resolve(slot)
          },
        }
        if (signal.aborted) return settle()
        signal.addEventListener('abort', settle, { once: true })
        const ahead = waiting()
        queues.set(userId, [...(queues.get(userId) ?? []), one])
        pump()
        if (!granted) onWait(ahead)
      }),
    tryAcquire: () =>
      queues.size > 0 || starting >= limits.maxStarting || live >= limits.maxLive || shortage() !== undefined
        ? undefined
        : take(true),
    hold: () => take(false),
    reconsider: () => pump(),
    assertRoom: () => {
      const reason = shortage()
      if (reason === undefined || askToLeave()) return
      throw new AppError('out_of_capacity', `There is no room for another session now: ${reason}`, { retryAfter: 10 })
    },
    counts: () => ({ live, starting, waiting: waiting() }),
  }
}
