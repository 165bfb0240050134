import type { BreakerState } from '../lib/breaker.ts'

/** Whatever fails as one: claude that cannot be started, the model API, the database. */
export type FailureDomain = 'claude' | 'modelApi' | 'storage'

/** How many sessions and processes there are, by kind. */
export type Counts = Record<string, number>

export type Metrics = {
  /** Called once for each change: of the model API there is a breaker for each credential. */
  breakerChanged(domain: FailureDomain, state: BreakerState): void
  /** A session's cost as claude reports it and as the ledger has it. */
  costCompared(agrees: boolean): void
  /** In the text format of Prometheus, with its content type. */
  read(): Promise<{ contentType: string; text: string }>
}

const states: readonly BreakerState[] = ['closed', 'half-open', 'open']

/**
 * What is counted is counted here; the library that writes it down is loaded when somebody asks. No session's, user's or
 * workspace's id is ever a label.
 */
export const createMetrics = (counts: () => Counts, breakers: () => Record<FailureDomain, BreakerState>): Metrics => {
  const changes = new Map<string, { labels: { domain: FailureDomain; state: BreakerState }; count: number }>()

  const comparisons = { agrees: 0, differs: 0 }

  const load = async () => {
    const { collectDefaultMetrics, Counter, Gauge, Registry } = await import('prom-client')
    const registry = new Registry()
    collectDefaultMetrics({ register: registry, prefix: 'aicm_' })
    // Not the library's own registry, which all servers of a process would share.
    const registers: [] = []
    const labelNames = ['domain', 'state'] as const
    const state = new Gauge({
      name: 'aicm_breaker_state',
      help: 'Circuit breakers by failure domain: 1 for the state that it is in',
      ...{ labelNames, registers },
      collect() {
        for (const [domain, is] of Object.entries(breakers()))
          for (const state of states) this.set({ domain, state }, is === state ? 1 : 0)
      },
    })
    const changed = new Counter({
      name: 'aicm_breaker_changes_total',
      help: 'Changes of circuit breakers, by the state that they changed to',
      ...{ labelNames, registers },
      collect() {
        this.reset()
        for (const { labels, count } of changes.values()) this.inc(labels, count)
      },
    })
    const compared = new Counter({
      name: 'aicm_cost_comparisons_total',
      help: "Comparisons of a session's cost as claude reports it with the ledger's, by their result",
      ...{ labelNames: ['result'], registers },
      collect() {
        this.reset()
        for (const [result, count] of Object.entries(comparisons)) this.inc({ result }, count)
      },
    })
    const sessions = new Gauge({
      name: 'aicm_sessions',
      help: 'Sessions in memory and processes of claude, by kind',
      ...{ labelNames: ['kind'], registers },
      collect() {
        for (const [kind, count] of Object.entries(counts())) this.set({ kind }, count)
      },
    })
    registry.registerMetric(state)
    registry.registerMetric(changed)
    registry.registerMetric(compared)
    registry.registerMetric(sessions)
    return registry
  }
  let registry: ReturnType<typeof load> | undefined

  return {
    breakerChanged: (domain, state) => {
      const key = `${domain} ${state}`
      changes.set(key, { labels: { domain, state }, count: (changes.get(key)?.count ?? 0) + 1 })
    },
    costCompared: (agrees) => void comparisons[agrees ? 'agrees' : 'differs']++,
    read: async () => {
      const loaded = await (registry ??= load())
      return { contentType: loaded.contentType, text: await loaded.metrics() }
    },
  }
}
