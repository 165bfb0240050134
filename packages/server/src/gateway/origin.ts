import { isIP } from 'node:net'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { routes } from '@aicm/protocol'
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

const hostOf = (headers: IncomingHttpHeaders): string => {
  const authority = headers[':authority']
  return typeof authority === 'string' ? authority : (headers.host ?? '')
}

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

/** Whether it is the page that this server has sent. Where the scheme is not known (a proxy may speak TLS) both are. */
const isOwn = (origin: string, host: string, scheme: 'http' | 'https' | undefined): boolean =>
  (scheme !== 'https' && origin === `http://${host}`) || (scheme !== 'http' && origin === `https://${host}`)

/** The one way that leads here from another site: the OpenID provider sends the whole window back. */
const isHandedBack = (headers: IncomingHttpHeaders, url: string): boolean =>
  headers['sec-fetch-mode'] === 'navigate' &&
  headers['sec-fetch-dest'] === 'document' &&
  url.split('?', 1)[0] === routes.oidc.callback.path

/**
 * Refuses a request that a foreign page made a browser send: by a name that is not ours (DNS rebinding), or from another
 * origin. An address needs no list: a page cannot make its own name be one.
 */
export const checkOrigin = (
  rules: OriginRules,
  request: Pick<IncomingMessage, 'headers' | 'url' | 'rawHeaders'>,
  scheme: 'http' | 'https' | undefined,
): void => {
  const { origin, 'sec-fetch-site': site = 'none' } = request.headers
  // HTTP/2 has its own word for it, which no HTTP/1 header can be.
  const host = hostOf(request.headers)
  const { url = '' } = request
  if (countOfHosts(request.rawHeaders) > 1) throw new AppError('invalid_request', 'A request has one Host header only.')
  if (!url.startsWith('/') && (hostInUrl(url) ?? host) !== host)
    throw new AppError('misdirected_request', 'The address and the Host header name different servers.')
  const name = hostName(host)
  if (!rules.hosts.has(name) && isIP(name.replace(/^\[|\]$/g, '')) === 0)
    throw new AppError('misdirected_request', `This server does not answer to the name ${JSON.stringify(name)}.`)
  if (origin !== undefined && !isOwn(origin, host, scheme) && !rules.origins.has(origin))
    throw new AppError('origin_forbidden', `Requests from ${JSON.stringify(origin)} are not allowed.`)
  // An image or a script of a foreign page is asked for without an origin: of the API nothing is answered to it.
  if (
    origin === undefined &&
    (site === 'cross-site' || site === 'same-site') &&
    url.startsWith('/v1/') &&
    !isHandedBack(request.headers, url)
  )
    throw new AppError('origin_forbidden', 'Requests from other sites are not allowed.')
}
