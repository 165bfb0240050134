import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { BlockList, connect, isIPv4, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { isIn } from '../config/gateway.ts'
import type { Reachable } from '../config/reachable.ts'
import { createSemaphore } from '../lib/semaphore.ts'
import { isPublic } from './is-public.ts'

/** Why there is no connection. */
export type NoWay = 'address_refused' | 'host_not_found' | 'host_unreachable'

/** The way to where users say: to public addresses, and to what the operator allows. */
export type Egress = {
  /** `host` is a name or an address in any form that the system knows. */
  connect(target: { host: string; port: number }): Promise<Socket | NoWay>
}

export type Resolve = (host: string) => Promise<{ address: string; family: number }[]>

const connectMs = 15_000
/** After so long without an answer the next address is tried. */
const attemptMs = 3000
/** The system's resolver holds a thread of those few that the server's files need too. */
const lookupsAtOnce = 2

const ownAddresses = (): BlockList => {
  const own = new BlockList()
  for (const { address } of Object.values(networkInterfaces()).flatMap((some) => some ?? []))
    own.addAddress(address, isIPv4(address) ? 'ipv4' : 'ipv6')
  return own
}

/**
 * Names are resolved here, once for each connection, and what is connected to is an address that was looked at: a name that
 * leads elsewhere the next time is looked at again.
 */
export const createEgress = ({
  allowed,
  resolve = (host) => lookup(host, { all: true }),
  own = ownAddresses,
}: {
  allowed: Reachable
  own?: () => BlockList
  resolve?: Resolve
}): Egress => {
  const oneOfFew = createSemaphore(lookupsAtOnce)

  return {
    connect: async ({ host, port }) => {
      const found = await oneOfFew(() => resolve(host)).catch(() => [])
      if (found.length === 0) return 'host_not_found'
      const refused = own()
      const isNamed = allowed.hosts.has(host.toLowerCase().replace(/\.$/, ''))
      const addresses = found.filter(
        ({ address }) => isNamed || isIn(allowed.networks, address) || (isPublic(address) && !isIn(refused, address)),
      )
      const [first] = addresses
      if (first === undefined) return 'address_refused'
      const socket = connect({
        // A name makes it ask `lookup`; an address would be taken as it is.
        ...{ host: 'checked.invalid', port, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: attemptMs },
        lookup: (_, { all }, give) => (all ? give(null, addresses) : give(null, first.address, first.family)),
      })
      try {
        await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) })
        return socket
      } catch {
        socket.destroy()
        return 'host_unreachable'
      }
    },
  }
}
