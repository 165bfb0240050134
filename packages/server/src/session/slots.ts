import { AppError } from '../lib/app-error.ts'

/** The right to have a process. `started`: it takes prompts now, and the next one may start. Both are harmless again. */
export type Slot = { started(): void; release(): void }

/**
 * How many processes there may be: by number, by memory, and by how many start at once (a start takes half a second of a
 * core: all at once, none would be ready in time). Whoever waits is served in turn by user, who got least first, so that
 * nobody's hundred keep another's one waiting, and whose hundred are heard of first are not ahead for that: a busy event loop
 * takes in few connections at a time.
 */
export type ProcessSlots = {
  /** Waits until there is room. `onWait` is called once if that is not at once. Rejects when `signal` is aborted. */
  acquire(ask: {
    userId: string
    signal: AbortSignal
    onWait: (ahead: number, shortage: Shortage | undefined) => void
  }): Promise<Slot>
  /** At once or not at all: for what nobody waits for. */
  tryAcquire(userId: string): Slot | undefined
  /** For a process that is there already. */
  hold(userId: string): Slot
  /** A process may be spared now that could not be before. */
  reconsider(): void
  /** Throws out_of_capacity where a new process would have to wait for what nobody gives back. */
  assertRoom(): void
  /** Processes of a user, those that start or end too. */
  liveOf(userId: string): number
  counts(): { live: number; starting: number; waiting: number }
}

export type SlotLimits = {
  maxLive: number
  maxStarting: number
  /** Of one user. */
  maxOf?: (userId: string) => number
}

/** Why there is no room for one more process. Those that rest can give memory back, and nothing of a disk. */
export type Shortage = { of: 'memory' | 'disk'; reason: string }

type Waiting = { grant(slot: Slot): void }

/** Who got more than another lets them go first that often, but no more often than this: a line may have lasted for hours. */
const mostLead = 32

/** Memory and disks get room again without telling anybody. */
const shortagePollMs = 1000

export const createSlots = (options: {
  limits: SlotLimits
  shortage(): Shortage | undefined
  /** Asks the process that is missed least (of a user's) to end, and tells whether it will. Undefined when all are needed. */
  makeRoom(userId?: string): Promise<boolean> | undefined
}): ProcessSlots => {
  const { limits, shortage, makeRoom } = options
  /** Of those who got equally much the first user is the next to be served; whoever was served goes to the end. */
  const queues = new Map<string, Waiting[]>()
  /** How many each user got since there was last nothing to wait for. */
  const served = new Map<string, number>()
  let live = 0
  let starting = 0
  /** Asked to end and not gone yet. */
  let leaving = 0
  const ofUser = new Map<string, { live: number; leaving: number }>()
  let poll: NodeJS.Timeout | undefined

  const waiting = (): number => [...queues.values()].reduce((sum, queue) => sum + queue.length, 0)
  const countOf = (userId: string) => {
    let count = ofUser.get(userId)
    if (count === undefined) ofUser.set(userId, (count = { live: 0, leaving: 0 }))
    return count
  }
  /** Whether it is only the user's own processes that stand in the way. */
  const isFull = (userId: string): boolean =>
    limits.maxOf !== undefined && (ofUser.get(userId)?.live ?? 0) >= limits.maxOf(userId)
  const waitingForRoom = (): number =>
    [...queues].reduce((sum, [userId, queue]) => sum + (isFull(userId) ? 0 : queue.length), 0)

  const take = (isStarting: boolean, userId: string): Slot => {
    let held = true
    let isNew = isStarting
    const count = countOf(userId)
    live++
    count.live++
    if (isNew) starting++
    const started = (): void => {
      if (!isNew) return
      isNew = false
      starting--
      pump()
      if (starting === 0 && queues.size === 0) served.clear()
    }
    return {
      started,
      release: () => {
        if (!held) return
        held = false
        live--
        leaving = Math.max(0, leaving - 1)
        count.live--
        count.leaving = Math.max(0, count.leaving - 1)
        if (count.live === 0) ofUser.delete(userId)
        started()
        pump()
      },
    }
  }

  const nextInTurn = (): { userId: string; next: Waiting } | undefined => {
    const least = Math.max(0, ...served.values()) - mostLead
    const gotOf = (userId: string): number => Math.max(least, served.get(userId) ?? 0)
    const [userId] = [...queues.keys()].filter((user) => !isFull(user)).toSorted((a, b) => gotOf(a) - gotOf(b))
    const queue = userId === undefined ? undefined : queues.get(userId)
    const next = queue?.shift()
    if (userId === undefined || queue === undefined || next === undefined) return undefined
    queues.delete(userId)
    if (queue.length > 0) queues.set(userId, queue)
    served.set(userId, gotOf(userId) + 1)
    return { userId, next }
  }

  const askToLeave = (userId?: string): boolean => {
    const leaves = makeRoom(userId)
    if (leaves === undefined) return false
    const count = userId === undefined ? undefined : countOf(userId)
    leaving++
    if (count !== undefined) count.leaving++
    void leaves.then((will) => {
      // It was given work in the meantime.
      if (will) return
      leaving--
      if (count !== undefined) count.leaving--
      pump()
    })
    return true
  }

  /** Users who have all they may have get room by what rests of their own. */
  const askTheFull = (): void => {
    for (const [userId, queue] of queues)
      while (isFull(userId) && countOf(userId).leaving < queue.length && askToLeave(userId));
  }

  const pump = (): void => {
    clearTimeout(poll)
    askTheFull()
    while (waitingForRoom() > 0 && starting < limits.maxStarting) {
      const short = shortage()
      if (live >= limits.maxLive || short !== undefined) {
        while (short?.of !== 'disk' && leaving < waitingForRoom() && askToLeave());
        if (short !== undefined) poll = setTimeout(pump, shortagePollMs).unref()
        return
      }
      const served = nextInTurn()
      served?.next.grant(take(true, served.userId))
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
        if (!granted) onWait(ahead, shortage())
      }),
    tryAcquire: (userId) =>
      queues.size > 0 ||
      isFull(userId) ||
      starting >= limits.maxStarting ||
      live >= limits.maxLive ||
      shortage() !== undefined
        ? undefined
        : take(true, userId),
    hold: (userId) => take(false, userId),
    reconsider: () => pump(),
    assertRoom: () => {
      const short = shortage()
      if (short === undefined || (short.of === 'memory' && askToLeave())) return
      const message = `There is no room for another session now: ${short.reason}`
      throw new AppError('out_of_capacity', message, { retryAfter: 10 })
    },
    liveOf: (userId) => ofUser.get(userId)?.live ?? 0,
    counts: () => ({ live, starting, waiting: waiting() }),
  }
}
