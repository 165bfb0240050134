import type { IncomingMessage } from 'node:http'
import { isIP, type BlockList } from 'node:net'
import { isIn } from '../config/gateway.ts'
import { plainAddress } from '../rate-limit/networks.ts'

type Asked = Pick<IncomingMessage, 'headers' | 'socket'>

/** Where a request comes from, as far as that can be known. */
export type Origins = {
  /** The address of the client. */
  addressOf(request: Asked): string
  /** What the client speaks; undefined where nobody knows, because something that is not trusted may be in between. */
  schemeOf(request: Asked): 'http' | 'https' | undefined
  /** Whether a connection is a proxy's, which carries many clients. */
  isProxy(address: string): boolean
}

/** Of `1.2.3.4`, `1.2.3.4:80`, `[::1]:80` and `"[::1]"` the address; undefined where there is none. */
const addressIn = (text: string): string | undefined => {
  const bare = text.trim().replace(/^"(.*)"$/, '$1')
  const address = /^\[([^\]]+)\](?::\d+)?$/.exec(bare)?.[1] ?? (isIP(bare) === 0 ? bare.replace(/:\d+$/, '') : bare)
  return isIP(address) === 0 ? undefined : plainAddress(address)
}

const joined = (header: string | string[] | undefined): string =>
  header === undefined ? '' : typeof header === 'string' ? header : header.join(',')

/** Of `for=1.2.3.4;proto=https, for=…` the values of one key, in order; one for each hop. */
const forwarded = (header: string, key: string): string[] =>
  header.split(',').map((hop) => {
    const pair = hop.split(';').find((part) => part.trim().toLowerCase().startsWith(`${key}=`))
    return pair?.slice(pair.indexOf('=') + 1) ?? ''
  })

/**
 * Only what a trusted proxy says is believed, and of that only what it has added itself: from the right, up to the first
 * hop that is no trusted proxy. Whatever is further left came from there.
 */
export const createOrigins = (proxies: BlockList | undefined): Origins => {
  const isProxy = (address: string): boolean => proxies !== undefined && isIn(proxies, address)
  /** A connection stays whose it is. */
  const peers = new WeakMap<Asked['socket'], { address: string; isProxy: boolean }>()
  const peerOf = ({ socket }: Asked): { address: string; isProxy: boolean } => {
    const known = peers.get(socket)
    if (known !== undefined) return known
    const address = plainAddress(socket.remoteAddress ?? 'unknown')
    const peer = { address, isProxy: isProxy(address) }
    peers.set(socket, peer)
    return peer
  }

  const hopsOf = ({ headers }: Asked, key: 'for' | 'proto'): string[] => {
    const name = key === 'for' ? 'x-forwarded-for' : 'x-forwarded-proto'
    const common = joined(headers[name])
    // A proxy that sets the one must take the other away: with both, the common one counts.
    if (common !== '') return common.split(',')
    const standard = joined(headers['forwarded'])
    return standard === '' || headers['x-forwarded-for'] !== undefined ? [] : forwarded(standard, key)
  }

  const addressOf: Origins['addressOf'] = (request) => {
    const peer = peerOf(request)
    let { address } = peer
    if (!peer.isProxy) return address
    for (const hop of hopsOf(request, 'for').toReversed()) {
      if (!isProxy(address)) break
      const next = addressIn(hop)
      if (next === undefined) break
      address = next
    }
    return address
  }

  return {
    addressOf,
    schemeOf: (request) => {
      if ('encrypted' in request.socket && request.socket.encrypted === true) return 'https'
      if (!peerOf(request).isProxy) return undefined
      const scheme = hopsOf(request, 'proto').at(-1)?.trim().toLowerCase()
      return scheme === 'http' || scheme === 'https' ? scheme : undefined
    },
    isProxy,
  }
}
