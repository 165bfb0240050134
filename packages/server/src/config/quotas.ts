import { parseAmount, quotaNames, type QuotaName } from '@aicm/protocol'

/** What one user may have at a time. Null: as much as they like. */
export type Quotas = Readonly<Record<QuotaName, number | null>>

/** `processes` has none: whoever waits for one is served in turn by user. */
export const defaultQuotas: Quotas = {
  sessions: 1000,
  processes: null,
  prompts: 1000,
  connections: 1000,
  bytes: 50 * 2 ** 30,
}

const none: Quotas = { sessions: null, processes: null, prompts: null, connections: null, bytes: null }

/** What `--quota` says, in its order: `off`, or `name=number` (bytes with k, m, g or t). Undefined where it says neither. */
export const parseQuotas = (settings: readonly string[]): Quotas | undefined => {
  let quotas = defaultQuotas
  for (const setting of settings) {
    if (setting === 'off') {
      quotas = none
      continue
    }
    const said = parseAmount(setting, { names: quotaNames, inBytes: ['bytes'] })
    if (said === undefined || !Number.isInteger(said.amount ?? 0)) return undefined
    quotas = { ...quotas, [said.name]: said.amount }
  }
  return quotas
}
