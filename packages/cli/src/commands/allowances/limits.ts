import { resourceNames, resourcesInBytes, routes, type ResourceLimits, type ResourceName } from '@aicm/protocol'
import { allowanceCommands } from './allowances.ts'
import { amountText } from '../../amounts.ts'

const kinds = { names: resourceNames, inBytes: resourcesInBytes }

export const { show, set, clear } = allowanceCommands<ResourceName, ResourceLimits>({
  kinds,
  head: ['LIMIT', 'AT MOST'],
  cells: (limits, name) => [amountText(kinds, name, limits[name])],
  mine: (client) => client.call(routes.limits.mine, {}),
  of: (client, id) => client.call(routes.limits.get, { params: { id } }),
  set: (client, id, body) => client.call(routes.limits.set, { params: { id }, body }),
})
