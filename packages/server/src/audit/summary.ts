import { routes, type AuditAction, type Route } from '@aicm/protocol'
import { isoTime } from '../lib/clock.ts'
import type { Act } from './act.ts'

/**
 * What changes nothing can be repeated without an end: refusals, failures, reads of the log itself. So in each window of time
 * only the first few of a kind are told one by one, and the others are counted.
 */
export type Summary = {
  /** Whether this one is to be told by itself. */
  take(act: Act, now: number): boolean
  /** What was counted in windows that are over, as acts of their own. */
  due(now: number): Act[]
}

export const summaryLimits = {
  windowMs: 60_000,
  /** Of one source, account, action and code. */
  single: 3,
  /** Kinds that are told apart in one window; whatever else comes is counted together. */
  kinds: 100,
}

/** By this one comes back who has logged in elsewhere: it makes accounts, and changes their roles. */
const changingRead: AuditAction = 'oidc.callback'

const reads = new Set(
  Object.entries(routes).flatMap(([group, members]) =>
    Object.entries<Route>(members).flatMap(([name, { method }]) => (method === 'GET' ? [`${group}.${name}`] : [])),
  ),
)

const repeats = ({ action, result = 'ok' }: Act): boolean =>
  result !== 'ok' || (reads.has(action) && action !== changingRead)

const kindOf = ({ action, code, address, userId }: Act): string => JSON.stringify([address, userId, action, code])

/** What all acts of a kind have in common. */
const commonOf = ({ action, result, code, address, userId, username }: Act): Act => ({
  ...{ action, result, code, address },
  // Of a log-in the name is only what was tried.
  ...(userId !== undefined && { userId, username }),
})

export const createSummary = ({ windowMs, single, kinds }: typeof summaryLimits): Summary => {
  let began = -Infinity
  let counts = new Map<string, { act: Act; times: number }>()
  /** Of kinds that there was no room for, by their code. */
  let others: Record<string, number> = {}
  const over: Act[] = []

  const end = (): void => {
    const window = { from: isoTime(began), until: isoTime(began + windowMs) }
    for (const { act, times } of counts.values())
      if (times > single) over.push({ ...commonOf(act), detail: { repeated: times - single, ...window } })
    if (Object.keys(others).length > 0)
      over.push({ action: 'http.other', result: 'refused', detail: { repeated: others, ...window } })
    counts = new Map()
    others = {}
  }

  const turn = (now: number): void => {
    // A clock that was set back must not make the window last.
    if (now >= began && now < began + windowMs) return
    if (began > -Infinity) end()
    began = now
  }

  return {
    take: (act, now) => {
      if (!repeats(act)) return true
      turn(now)
      const kind = kindOf(act)
      const count = counts.get(kind) ?? { act, times: 0 }
      if (count.times === 0 && counts.size >= kinds) {
        const code = act.code ?? 'ok'
        others[code] = (others[code] ?? 0) + 1
        return false
      }
      counts.set(kind, count)
      return ++count.times <= single
    },
    due: (now) => {
      turn(now)
      return over.splice(0)
    },
  }
}
