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

/**
 * Refuses a request that a foreign page made a browser send: by a name that is not ours (DNS rebinding), or from another
 * origin. An address needs no list: a page cannot make its own name be one.
 */
export const checkOrigin = (rules: OriginRules, request: IncomingMessage): void => {
  const { host = '', origin } = request.headers
  const name = hostName(host)
  if (!rules.hosts.has(name) && isIP(name.replace(/^\[|\]$/g, '')) === 0)
    throw new AppError('misdirected_request', `This server does not answer to the name ${JSON.stringify(name)}.`)
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}` && !rules.origins.has(origin))
    throw new AppError('origin_forbidden', `Requests from ${JSON.stringify(origin)} are not allowed.`)
}
