import { isIP, type BlockList } from 'node:net'
import { networksOf } from './gateway.ts'

/** What may be reached besides public addresses: names in lower case, and networks. */
export type Reachable = { hosts: ReadonlySet<string>; networks: BlockList }

const hostName = /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?$/i

/** The first setting that is neither a host nor a network, when there is one. */
export const reachableOf = (settings: readonly string[]): Reachable | string => {
  const isNetwork = (text: string): boolean => isIP(text.split('/', 1)[0] ?? '') !== 0
  const hosts = settings.filter((text) => !isNetwork(text))
  const wrong = hosts.find((text) => !hostName.test(text))
  const networks = networksOf(settings.filter(isNetwork))
  if (wrong !== undefined || typeof networks === 'string') return wrong ?? String(networks)
  return { hosts: new Set(hosts.map((text) => text.toLowerCase())), networks }
}
