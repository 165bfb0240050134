import { lstat } from 'node:fs/promises'
import { createSemaphore } from '../lib/semaphore.ts'
import { createTurns } from '../lib/turns.ts'
import { startHelper, type Helper, type HelperPlace } from './helper-process.ts'

/** One that nobody needed for so long ends. */
const idleMs = 10_000
/** At work for one user at a time, and how many more may wait for that. */
const mostOfUser = 4
const mostWaiting = 64

/** A helper for one thing at a time. It goes back when it is disposed of; one that was left in the middle of something ends. */
export type Lease = AsyncDisposable & { helper: Helper }

export type Helpers = AsyncDisposable & {
  /** `signal` ends the helper: whoever asked is gone. Rejects with out_of_capacity where too many wait. */
  lease(options: { userId: string; place: () => Promise<HelperPlace>; signal: AbortSignal }): Promise<Lease>
}

type Idle = { key: string; helper: Helper; timer: NodeJS.Timeout }

/** The very folder, not its path: one that was made anew there is another, and a helper stays where it is. */
const keyOf = async ({ path, walls }: HelperPlace): Promise<string> => {
  const { dev, ino, birthtimeNs } = await lstat(path, { bigint: true })
  return [dev, ino, birthtimeNs, walls.level, walls.owner?.uid].join()
}

/** `most`: how many there are at once, of all users, those that rest too. */
export const createHelpers = ({ most }: { most: number }): Helpers => {
  /** The longest rest first. */
  let idle: Idle[] = []
  const busy = new Set<Helper>()
  const ofAll = createSemaphore(most, most * mostWaiting)
  const ofUser = createTurns(mostOfUser, mostWaiting)
  const closing = new AbortController()

  const drop = (one: Idle): Helper => {
    clearTimeout(one.timer)
    idle = idle.filter((other) => other !== one)
    return one.helper
  }

  const rest = (key: string, helper: Helper): void => {
    const one: Idle = { key, helper, timer: setTimeout(() => void drop(one).end(), idleMs).unref() }
    idle.push(one)
    // One that ends by itself, or is killed, is given to nobody.
    void helper.ended.then(() => drop(one))
  }

  const take = (key: string, place: HelperPlace): Helper => {
    const found = idle.findLast((one) => one.key === key)
    if (found !== undefined) return drop(found)
    const [longest] = idle
    if (longest !== undefined && idle.length + busy.size >= most) void drop(longest).end()
    return startHelper(place)
  }

  const work = async (
    { place, signal }: Parameters<Helpers['lease']>[0],
    give: (lease: Lease) => void,
  ): Promise<void> => {
    const ends = AbortSignal.any([signal, closing.signal])
    ends.throwIfAborted()
    const where = await place()
    const key = await keyOf(where)
    const helper = take(key, where)
    busy.add(helper)
    const done = Promise.withResolvers<void>()
    const end = (): void => {
      void helper.end()
      done.resolve()
    }
    ends.addEventListener('abort', end, { once: true })
    give({ helper, [Symbol.asyncDispose]: async () => done.resolve() })
    await done.promise
    ends.removeEventListener('abort', end)
    busy.delete(helper)
    if (!ends.aborted && helper.isResting()) rest(key, helper)
    else await helper.end()
  }

  return {
    lease: (options) =>
      new Promise((resolve, reject) => {
        ofUser(options.userId, () => ofAll(() => work(options, resolve))).catch(reject)
      }),
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      await Promise.all([...idle.map((one) => drop(one)), ...busy].map((helper) => helper.end()))
    },
  }
}
