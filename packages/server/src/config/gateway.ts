import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'
import { parseRateLimits, type RateLimits } from './limits.ts'
import { parseQuotas, type Quotas } from './quotas.ts'

/** How the server meets the network. */
export type GatewaySettings = {
  /** PEM files. Undefined: plain HTTP. */
  tls: { cert: string; key: string } | undefined
  /** Peers whose word about where a request comes from is taken. */
  trustedProxies: BlockList
  rateLimits: RateLimits
  quotas: Quotas
  /** Of a file that is written over the API. */
  maxFileBytes: number
  /** In which a whole request must have come. */
  requestMs: number
  /** Undefined: by how many files the system lets the server have open. */
  maxConnections: number | undefined
  maxConnectionsOfAddress: number
}

/** What is wrong with a setting: which, and what it should be. */
export type WrongSetting = { name: 'rateLimits' | 'quotas' | 'trustedProxies'; value: string; must: string }

/** An address, or a network as address/bits. False when it is neither. */
const addNetwork = (list: BlockList, text: string): boolean => {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  const most = family === 'ipv4' ? 32 : 128
  if (isIP(address) === 0 || rest.length > 0 || (bits !== undefined && !(/^\d+$/.test(bits) && Number(bits) <= most)))
    return false
  list.addSubnet(address, Number(bits ?? most), family)
  return true
}

export const networksOf = (networks: readonly string[]): BlockList | string => {
  const list = new BlockList()
  return networks.find((text) => !addNetwork(list, text)) ?? list
}

export const isIn = (list: BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

/** Whether only this machine can reach a server that listens there. */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))

export const limitsOf = (given: {
  rateLimits: string[]
  quotas: string[]
  trustedProxies: string[]
}): Pick<GatewaySettings, 'rateLimits' | 'quotas' | 'trustedProxies'> | WrongSetting => {
  const rateLimits = parseRateLimits(given.rateLimits)
  const quotas = parseQuotas(given.quotas)
  const trustedProxies = networksOf(given.trustedProxies)
  if (rateLimits === undefined)
    return {
      ...{ name: 'rateLimits', value: given.rateLimits.join(',') },
      must: '`off`, or a class (read, write, execute, stream, login, failure) with its burst and refill a second, like read=600/100',
    }
  if (quotas === undefined)
    return {
      ...{ name: 'quotas', value: given.quotas.join(',') },
      must: '`off`, or one of sessions, processes, prompts, connections, bytes with a number, like sessions=100, bytes=20g or prompts=off',
    }
  if (typeof trustedProxies === 'string')
    return {
      ...{ name: 'trustedProxies', value: trustedProxies },
      must: 'an address or a network, like 10.0.0.5 or 10.0.0.0/8',
    }
  return { rateLimits, quotas, trustedProxies }
}
