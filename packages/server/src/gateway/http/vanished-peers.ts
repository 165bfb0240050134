import { readFile } from 'node:fs/promises'
import type { Server, Socket } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * Who is sent something and has vanished without a word is not found by keep-alive, which waits while anything is under way;
 * by itself the kernel gives up after a quarter of an hour (tcp_retries2), and Node cannot set TCP_USER_TIMEOUT. But the kernel
 * shows what it sends again. After so many looks at which it still does, each of them later than the one before by `everyMs`,
 * nobody is there.
 */
const look = { everyMs: 5000, times: 3 }

const tables = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

/** A row's local port, its peer, and how often the first unanswered data was sent again (not at all, in most). Source: proc(5). */
const resentRow = /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]+:[0-9A-F]{4}) [0-9A-F]{2} \S+ \S+ (?!0{8})[0-9A-F]{8} /gm

/** Of a table of the kernel's, the connections on which it sends again, each named as `peerName` does. */
export const resentIn = (table: string): string[] =>
  [...table.matchAll(resentRow)].map(([, port, peer]) => `${port} ${peer}`)

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0')

/** The kernel prints addresses as words of four bytes, as they lie in the memory of a little-endian machine. */
const addressName = (address: string): string => {
  const bytes = ipaddr.parse(address).toByteArray()
  return bytes.map((_, at) => hex(bytes[at - (at % 4) + 3 - (at % 4)] ?? 0, 2)).join('')
}

/** A connection as the kernel's tables have it: its local port and its peer. */
export const peerName = (localPort: number, { address, port }: { address: string; port: number }): string =>
  `${hex(localPort, 4)} ${addressName(address)}:${hex(port, 4)}`

const nameOf = ({ localPort, remoteAddress, remotePort }: Socket): string | undefined =>
  localPort === undefined || remoteAddress === undefined || remotePort === undefined
    ? undefined
    : peerName(localPort, { address: remoteAddress, port: remotePort })

/** Ends connections whose peers have vanished, within half a minute. Where the kernel has no such tables it does nothing. */
export const endVanishedPeers = (server: Server): void => {
  const open = new Map<string, Socket>()
  let resent = new Map<string, number>()

  const lookOnce = async (): Promise<void> => {
    if (open.size === 0) return
    const texts = await Promise.all(tables.map((path) => readFile(path, 'utf8').catch(() => '')))
    const seen = new Map<string, number>()
    for (const name of texts.flatMap(resentIn)) {
      const socket = open.get(name)
      if (socket === undefined) continue
      const times = (resent.get(name) ?? 0) + 1
      if (times >= look.times) socket.destroy()
      else seen.set(name, times)
    }
    resent = seen
  }

  server.prependListener('connection', (socket: Socket) => {
    const name = nameOf(socket)
    if (name === undefined) return
    open.set(name, socket)
    socket.once('close', () => {
      // The same peer may have come again meanwhile.
      if (open.get(name) === socket) open.delete(name)
    })
  })
  const timer = setInterval(() => void lookOnce(), look.everyMs).unref()
  server.once('close', () => clearInterval(timer))
}
