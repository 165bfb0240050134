import { once } from 'node:events'
import { closeSync, constants, openSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import ipaddr from 'ipaddr.js'
import type { Egress, NoWay } from './egress.ts'

/** A SOCKS proxy for one program, on a socket that only that program is shown. */
export type EgressProxy = AsyncDisposable & {
  /** The first target that it could not be led to. */
  failure(): { host: string; port: number; reason: NoWay } | undefined
}

const handshakeMs = 10_000
/** RFC 1928. */
const [version, connectCommand] = [5, 1]
const noAuthentication = Buffer.from([version, 0])
const replies = { connected: 0, address_refused: 2, host_not_found: 4, host_unreachable: 4, unsupported: 7 } as const
const replyOf = (reply: keyof typeof replies): Buffer => Buffer.from([version, replies[reply], 0, 1, 0, 0, 0, 0, 0, 0])

type Reader = {
  /** Exactly so many bytes. Rejects when they do not come. */
  read(length: number): Promise<Buffer>
  /** Leaves the socket to others, with what was not read. */
  release(): void
}

/** Takes all that there is each time: as long as something is left a socket says `readable`, and nothing else gets its turn. */
const createReader = (socket: Socket, signal: AbortSignal): Reader => {
  let left = Buffer.alloc(0)
  return {
    read: async (length) => {
      while (left.length < length) {
        signal.throwIfAborted()
        const more: Buffer | null = socket.read()
        if (more === null) await once(socket, 'readable', { signal })
        else left = Buffer.concat([left, more])
      }
      const bytes = left.subarray(0, length)
      left = left.subarray(length)
      return bytes
    },
    release: () => {
      if (left.length > 0) socket.unshift(left)
    },
  }
}

const readHost = async ({ read }: Reader, kind: number | undefined): Promise<string> => {
  const [length = 0] = kind === 3 ? await read(1) : [kind === 1 ? 4 : 16]
  const bytes = await read(length)
  // What is no host name finds nothing, and may be shown.
  return kind === 3
    ? bytes.toString('latin1').replaceAll(/[^\w.:%-]/g, '?')
    : ipaddr.fromByteArray([...bytes]).toString()
}

/** Listens at `api.sock` in `dir`, of which only the owner may be able to write. */
export const openEgressProxy = async ({ dir, egress }: { dir: string; egress: Egress }): Promise<EgressProxy> => {
  const sockets = new Set<Socket>()
  let failure: ReturnType<EgressProxy['failure']>

  const track = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
  }

  const serve = async (inner: Socket): Promise<void> => {
    const gone = new AbortController()
    for (const event of ['end', 'close']) inner.once(event, () => gone.abort())
    const signal = AbortSignal.any([AbortSignal.timeout(handshakeMs), gone.signal])
    const reader = createReader(inner, signal)
    const [, methods = 0] = await reader.read(2)
    await reader.read(methods)
    inner.write(noAuthentication)
    const [, command, , kind] = await reader.read(4)
    const host = await readHost(reader, kind)
    const port = (await reader.read(2)).readUInt16BE()
    if (command !== connectCommand) return void inner.end(replyOf('unsupported'))
    const outer = await egress.connect({ host, port })
    if (typeof outer === 'string') {
      failure ??= { host, port, reason: outer }
      return void inner.end(replyOf(outer))
    }
    track(outer)
    if (inner.destroyed) return void outer.destroy()
    inner.write(replyOf('connected'))
    reader.release()
    pipeline(inner, outer, inner, () => undefined)
  }

  const server = createServer((inner) => {
    track(inner)
    serve(inner).catch(() => inner.destroy())
  })
  // Through a descriptor: a path of more than 107 bytes would be cut off, not refused.
  const folder = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    server.listen(`/proc/self/fd/${folder}/api.sock`)
    await once(server, 'listening')
  } catch (error) {
    closeSync(folder)
    throw error
  }

  return {
    failure: () => failure,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
      closeSync(folder)
    },
  }
}
