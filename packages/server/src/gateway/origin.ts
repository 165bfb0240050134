import { isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'
import { AppError } from '../lib/app-error.ts'

export type OriginRules = { hosts: ReadonlySet<string>; origins: ReadonlySet<string> }

/** Names this server answers to, and web origins that may use it. Compared exactly: no patterns, no suffixes. */
export const originRules = (options: { host: string; allowedOrigins: string[] }): OriginRules => ({
  hosts: new Set([
    'localhost',
    '127.0.0.1',
    '[::1]',
    options.host.toLowerCase(),
    ...options.allowedOrigins.map((origin) => new URL(origin).hostname),
  ]),
  origins: new Set(options.allowedOrigins),
})

const hostName = (host: string): string => host.replace(/:\d+$/, '').toLowerCase()

/** Two readers may take each a different one of two. Names and values follow each other in `rawHeaders`. */
const countOfHosts = (rawHeaders: readonly string[]): number => {
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1
  }
  return count
}

/** The host in a request for a whole address, as proxies get them; it counts more than the header. Source: RFC 9112, 3.2.2. */
const hostInUrl = (url: string): string | undefined => /^[a-z]+:\/\/([^/?#]*)/i.exec(url)?.[1]

/**
 * Refuses a request that a foreign page made a browser send: by a name that is not ours (DNS rebinding), or from another
 * origin. An address needs no list: a page cannot make its own name be one.
 */
export const checkOrigin = (rules: OriginRules, request: IncomingMessage): void => {
  const { host = '', origin } = request.headers
  const { url = '' } = request
  if (countOfHosts(request.rawHeaders) > 1) throw new AppError('invalid_request', 'A request has one Host header only.')
  if (!url.startsWith('/') && (hostInUrl(url) ?? host) !== host)
    throw new AppError('misdirected_request', 'The address and the Host header name different servers.')
  const name = hostName(host)
  if (!rules.hosts.has(name) && isIP(name.replace(/^\[|\]$/g, '')) === 0)
    throw new AppError('misdirected_request', `This server does not answer to the name ${JSON.stringify(name)}.`)
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}` && !rules.origins.has(origin))
    throw new AppError('origin_forbidden', `Requests from ${JSON.stringify(origin)} are not allowed.`)
}
