/** What requests are counted as. `login`: tries of a password. `failure`: answers 401, 404 and 429, which block their source. */
export const limitClasses = ['read', 'write', 'execute', 'stream', 'login', 'failure'] as const
export type LimitClass = (typeof limitClasses)[number]

/** Of a class: so many at once, and so many a second after that. Undefined: as many as they like. */
export type RateLimits = Readonly<Record<LimitClass, { burst: number; refill: number } | undefined>>

/**
 * Of one user. A page asks for some twenty things when it is opened, and the client library subscribes to up to a thousand
 * sessions again when its connection comes back.
 */
export const defaultRateLimits: RateLimits = {
  read: { burst: 600, refill: 100 },
  write: { burst: 200, refill: 20 },
  execute: { burst: 100, refill: 10 },
  stream: { burst: 1200, refill: 50 },
  login: { burst: 30, refill: 0.5 },
  failure: { burst: 200, refill: 2 },
}

const none: RateLimits = {
  read: undefined,
  write: undefined,
  execute: undefined,
  stream: undefined,
  login: undefined,
  failure: undefined,
}

/** What `--rate-limit` says, in its order: `off`, or `class=burst/refill`. Undefined where it says neither. */
export const parseRateLimits = (settings: readonly string[]): RateLimits | undefined => {
  let limits = defaultRateLimits
  for (const setting of settings) {
    if (setting === 'off') {
      limits = none
      continue
    }
    const [, name, burst, refill] = /^(\w+)=(\d+)\/(\d+(?:\.\d+)?)$/.exec(setting) ?? []
    const known = limitClasses.find((one) => one === name)
    if (known === undefined || !(Number(burst) >= 1) || !(Number(refill) > 0)) return undefined
    limits = { ...limits, [known]: { burst: Number(burst), refill: Number(refill) } }
  }
  return limits
}
