import { LRUCache } from 'lru-cache'
import { AppError } from '../lib/app-error.ts'
import { foldCase } from '../storage/fold-case.ts'
import type { RateLimiter } from './limiter.ts'
import { rateLimitFields } from './fields.ts'
import { networkOf } from './networks.ts'
import { scarcer, type Taken } from './token-bucket.ts'

export type LoginTry = { account: string; address: string }

/**
 * Slows down who guesses passwords: from one network at any account, at one account from any network, and with a delay that
 * grows from failure to failure for both together.
 */
export type LoginLimiter = {
  /**
   * Runs a try, and tells it what is left; rejects with too_many_requests without running it when there were too many. A
   * rejection of `run` counts as a failure.
   */
  attempt<T>(one: LoginTry, run: (left: Taken | undefined) => Promise<T>): Promise<T>
  /** Counts what needs no password. Resolves with what is left; rejects with too_many_requests. */
  enter(door: Door, address: string): Promise<Taken | undefined>
}

/**
 * Other ways in, each counted by itself: one network has as much as so many would who try passwords. An office may be one
 * network, and open all its pages at once.
 */
const doors = { oidc: 10, refresh: 20, ticket: 50 } as const
type Door = keyof typeof doors

/** Failures of one network at one account that cost nothing: people mistype. */
const free = 3
const firstDelayMs = 1000
const longestDelayMs = 300_000
const forgetMs = 900_000
const remembered = 50_000
/** Networks that an account was opened from lately: others' guesses do not lock it out there. */
const networksOfAccount = 8

type Failures = { count: number; last: number; until: number }

const assertAllowed = (taken: Taken | undefined, what = 'tries to log in'): void => {
  if (taken === undefined || taken.allowed) return
  throw new AppError('too_many_requests', `There were too many ${what}.`, {
    retryAfter: Math.ceil(taken.retryAfterMs / 1000),
    headers: rateLimitFields('login', taken),
  })
}

/** Of who has to wait after failures: one try when that is over. */
const waiting = (ms: number): Taken => ({
  ...{ allowed: false, limit: 1, remaining: 0 },
  ...{ windowMs: ms, resetMs: ms, retryAfterMs: ms },
})

/** `enabled` is false where no limit is wanted. `now` is milliseconds of a clock that nobody sets. */
export const createLoginLimiter = (
  limiter: RateLimiter,
  { enabled, now }: { enabled: boolean; now: () => number },
): LoginLimiter => {
  const failures = new LRUCache<string, Failures>({ max: remembered })
  const known = new LRUCache<string, Set<string>>({ max: remembered })

  const count = async (account: string, network: string): Promise<Taken | undefined> => {
    const fromNetwork = await limiter.take(`network ${network}`, 'login', 1)
    assertAllowed(fromNetwork)
    if (known.get(account)?.has(network) === true) return fromNetwork
    const ofAccount = await limiter.take(`account ${account}`, 'login', 1)
    assertAllowed(ofAccount)
    return scarcer(fromNetwork, ofAccount)
  }

  const noteFailure = (pair: string, before: Failures | undefined): void => {
    const time = now()
    const count = before === undefined || time - before.last > forgetMs ? 1 : before.count + 1
    const delay = count < free ? 0 : Math.min(longestDelayMs, firstDelayMs * 2 ** (count - free))
    failures.set(pair, { count, last: time, until: time + delay })
  }

  const noteSuccess = (pair: string, account: string, network: string): void => {
    failures.delete(pair)
    const networks = known.get(account) ?? new Set()
    networks.delete(network)
    networks.add(network)
    for (const oldest of networks) {
      if (networks.size <= networksOfAccount) break
      networks.delete(oldest)
    }
    known.set(account, networks)
  }

  return {
    attempt: async (one, run) => {
      if (!enabled) return run(undefined)
      const account = foldCase(one.account)
      const network = networkOf(one.address)
      const pair = `${network} ${account}`
      const before = failures.get(pair)
      const wait = (before?.until ?? 0) - now()
      if (wait > 0) assertAllowed(waiting(wait))
      // Before the answer is known: tries that run at once are not free.
      noteFailure(pair, before)
      const answer = await run(await count(account, network))
      noteSuccess(pair, account, network)
      return answer
    },
    enter: async (door, address) => {
      const taken = await limiter.take(`${door} ${networkOf(address)}`, 'login', 1 / doors[door])
      assertAllowed(taken, `requests from this network (${door})`)
      return taken
    },
  }
}
