import { quotaNames, routes, type QuotaName, type Quotas } from '@aicm/protocol'
import { allowanceCommands } from './allowances.ts'
import { amountText } from '../../amounts.ts'

const kinds = { names: quotaNames, inBytes: ['bytes' as const] }

export const { show, set, clear } = allowanceCommands<QuotaName, Quotas>({
  kinds,
  head: ['QUOTA', 'USED', 'AT MOST'],
  cells: (quotas, name) => {
    const { used, limit } = quotas[name]
    return [used === null ? 'not measured yet' : amountText(kinds, name, used), amountText(kinds, name, limit)]
  },
  mine: (client) => client.call(routes.quotas.mine, {}),
  of: (client, id) => client.call(routes.quotas.get, { params: { id } }),
  set: (client, id, body) => client.call(routes.quotas.set, { params: { id }, body }),
})
