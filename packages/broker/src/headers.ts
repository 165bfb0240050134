import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Material } from './credentials/source.ts'

/** Headers that speak about one connection, not about the message (RFC 9110, section 7.6.1). */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]

/** What a child must not be able to tell the upstream: who it is, and which host it meant. What it is paid for must be readable. */
const notTheChilds = ['x-api-key', 'authorization', 'proxy-authorization', 'cookie', 'host', 'accept-encoding']

const oauthBeta = 'oauth-2025-04-20'

const without = (headers: IncomingHttpHeaders, names: string[]): OutgoingHttpHeaders => {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const dropped = new Set([...names, ...named])
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.has(name)))
}

/** The child's headers with its session token replaced by the real credential. */
export const upstreamHeaders = (headers: IncomingHttpHeaders, credential: Material): OutgoingHttpHeaders => {
  const kept = { ...without(headers, [...hopByHop, ...notTheChilds]), 'accept-encoding': 'identity' }
  switch (credential.kind) {
    case 'none':
      return kept
    case 'api-key':
      return { ...kept, 'x-api-key': credential.value }
    case 'auth-token':
      return { ...kept, authorization: `Bearer ${credential.value}` }
    case 'oauth-token':
      return {
        ...kept,
        authorization: `Bearer ${credential.value}`,
        'anthropic-beta': withOauthBeta(headers['anthropic-beta']),
      }
  }
}

/** The API takes an OAuth token only from those who ask for this beta. */
const withOauthBeta = (value: string | string[] | undefined): string => {
  const betas = [value ?? []]
    .flat()
    .flatMap((line) => line.split(','))
    .map((beta) => beta.trim())
    .filter((beta) => beta !== '')
  return [...new Set([...betas, oauthBeta])].join(',')
}

/** The upstream's headers as they came, repeated ones repeated. */
export const downstreamHeaders = ({ headers, rawHeaders }: IncomingMessage): string[] => {
  const kept = without(headers, hopByHop)
  return rawHeaders.flatMap((name, index) => {
    const value = rawHeaders[index + 1]
    return index % 2 === 0 && name.toLowerCase() in kept && value !== undefined ? [name, value] : []
  })
}
