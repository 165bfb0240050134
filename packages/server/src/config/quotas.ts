import { quotaNames, type QuotaName } from '@aicm/protocol'

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

const units = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as const

/** `200m`, in bytes; undefined where it is none. */
export const parseBytes = (text: string): number | undefined => {
  const [, amount, unit = ''] = /^(\d+)([kmg]?)$/i.exec(text) ?? []
  return amount === undefined ? undefined : Number(amount) * units[unit.toLowerCase() as keyof typeof units]
}

/** What `--quota` says, in its order: `off`, or `name=number` (bytes with k, m or g). Undefined where it says neither. */
export const parseQuotas = (settings: readonly string[]): Quotas | undefined => {
  let quotas = defaultQuotas
  for (const setting of settings) {
    if (setting === 'off') {
      quotas = none
      continue
    }
    const [, name, amount, unit = ''] = /^(\w+)=(\d+|off)([kmg]?)$/i.exec(setting) ?? []
    const known = quotaNames.find((one) => one === name)
    const factor = units[unit.toLowerCase() as keyof typeof units]
    if (known === undefined || (unit !== '' && known !== 'bytes')) return undefined
    quotas = { ...quotas, [known]: amount === 'off' ? null : Number(amount) * factor }
  }
  return quotas
}
