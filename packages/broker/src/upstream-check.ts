import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Whether the upstream took a connection, and when that was tried (ISO 8601). */
export type UpstreamCheck = { error: string | null; checkedAt: string }

/** How long an answer stands: whoever asks more often does not make the broker connect more often. */
const keptMs = 30_000
const timeoutMs = 5000

/** Connects, for https with the whole handshake, and hangs up: nothing is asked, so no token is spent. Null when it worked. */
const tryToConnect = (upstream: string): Promise<string | null> =>
  new Promise((resolve) => {
    const { protocol, hostname, port } = new URL(upstream)
    const secure = protocol === 'https:'
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const to = { host, port: Number(port || (secure ? 443 : 80)) }
    // A server name is a name: for an address there is none.
    const socket = secure ? connectTls({ ...to, servername: /^[\d.]+$|:/.test(host) ? '' : host }) : connectTcp(to)
    const settle = (error: string | null): void => {
      resolve(error)
      socket.destroy()
    }
    socket.setTimeout(timeoutMs, () => settle(`no connection within ${timeoutMs / 1000} seconds`))
    socket.once(secure ? 'secureConnect' : 'connect', () => settle(null))
    socket.on('error', (error) => settle(reasonOf(error)))
  })

/** Several addresses refused give an error without a text of its own, only with a code. */
export const reasonOf = (error: Error): string =>
  error.message || ('code' in error && typeof error.code === 'string' ? error.code : 'unknown cause')

/** Asks at most every 30 seconds, and once for all who ask meanwhile. */
export const createUpstreamCheck = (): ((upstream: string) => Promise<UpstreamCheck>) => {
  let last: { upstream: string; at: number; check: Promise<UpstreamCheck> } | undefined
  return (upstream) => {
    if (last === undefined || last.upstream !== upstream || performance.now() - last.at > keptMs) {
      const checkedAt = new Date().toISOString()
      const check = tryToConnect(upstream).then((error) => ({ error, checkedAt }))
      last = { upstream, at: performance.now(), check }
    }
    return last.check
  }
}
