import { createHash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { codeOf, freshAddress, parsed } from './http.ts'

// A WebSocket client that can send any bytes. Source: RFC 6455, sections 4 and 5.

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export type Frame = { fin: boolean; rsv: number; opcode: number; masked: boolean; payload: Buffer }

const mask = [0x37, 0xfa, 0x21, 0x3d]

/** How many bytes the length itself takes: as few as it can be, or so many that were asked for. */
const lengthBytes = (length: bigint, width: 7 | 16 | 64): Buffer => {
  const bytes = Buffer.alloc(width === 7 ? 1 : width === 16 ? 3 : 9)
  if (width === 7) bytes[0] = Number(length)
  else if (width === 16) bytes.writeUInt16BE(Number(length), 1)
  else bytes.writeBigUInt64BE(length, 1)
  if (width !== 7) bytes[0] = width === 16 ? 126 : 127
  return bytes
}

export const frame = (
  opcode: number,
  payload: string | Uint8Array = '',
  options: { fin?: boolean; rsv?: number; masked?: boolean; width?: 7 | 16 | 64; declared?: bigint } = {},
): Buffer => {
  const { fin = true, rsv = 0, masked = true } = options
  const body = Buffer.from(payload)
  const length = options.declared ?? BigInt(body.length)
  const width = options.width ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64)
  const size = lengthBytes(length, width)
  if (masked) {
    size[0] = (size[0] ?? 0) | 0x80
    for (let at = 0; at < body.length; at++) body[at] = (body[at] ?? 0) ^ (mask[at & 3] ?? 0)
  }
  return Buffer.concat([
    Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode]),
    size,
    ...(masked ? [Buffer.from(mask)] : []),
    body,
  ])
}

export const closePayload = (code: number, reason: string | Uint8Array = ''): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(code)
  return Buffer.concat([bytes, Buffer.from(reason)])
}

/** The frame at the start of `bytes`, and what is behind it; undefined while it is not whole. */
const takeFrame = (bytes: Buffer): { frame: Frame; rest: Buffer } | undefined => {
  if (bytes.length < 2) return undefined
  const [first = 0, second = 0] = bytes
  const short = second & 0x7f
  const start = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < start) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if (bytes.length < start + length) return undefined
  const [fin, rsv, opcode, masked] = [(first & 0x80) !== 0, (first >> 4) & 7, first & 15, (second & 0x80) !== 0]
  return {
    frame: { fin, rsv, opcode, masked, payload: bytes.subarray(start, start + length) },
    rest: bytes.subarray(start + length),
  }
}

export type FrameSocket = Disposable & {
  raw: Socket
  /** False when the system's buffers are full: wait for `drained`. */
  write(bytes: Uint8Array): boolean
  /** Resolves when everything written was taken, or the connection is gone. */
  drained(): Promise<void>
  /** The next frame; undefined when the connection is closed. */
  next(): Promise<Frame | undefined>
  /** Everything the server answered to the upgrade. */
  head: string
}

/** Rejects with what the server answered where it does not upgrade. */
export class NotUpgraded extends Error {
  /** Status and code. */
  readonly seen: string

  constructor(seen: string) {
    super(`the upgrade was answered with ${seen}`)
    this.seen = seen
  }
}

const patienceMs = 60_000

/** Any request for an upgrade: whole lines, without the empty one. */
export const upgradeWith = async (url: string, lines: readonly string[]): Promise<FrameSocket> => {
  const { hostname, port } = new URL(url)
  const raw = connect({ host: hostname, port: Number(port), localAddress: freshAddress(), noDelay: true })
  let bytes: Buffer = Buffer.alloc(0)
  let closed = false
  let wake: () => void = () => undefined
  raw.setTimeout(patienceMs, () => raw.destroy())
  raw.on('error', () => undefined)
  raw.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    wake()
  })
  raw.on('close', () => {
    closed = true
    wake()
  })
  const more = (): Promise<void> => new Promise((resolve) => (wake = resolve))
  raw.write([...lines, '', ''].join('\r\n'))

  let end = -1
  while ((end = bytes.indexOf('\r\n\r\n')) < 0 && !closed) await more()
  const head = bytes.subarray(0, Math.max(end, 0)).toString('latin1')
  bytes = bytes.subarray(end + 4)
  if (!head.startsWith('HTTP/1.1 101')) {
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? Infinity)
    while (!closed && !raw.readableEnded && bytes.length < length) await more()
    raw.destroy()
    const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 'closed'
    throw new NotUpgraded([status, codeOf(parsed(bytes.toString('utf8')))].filter(Boolean).join(' '))
  }
  return {
    ...{ raw, head },
    write: (data) => raw.write(data),
    drained: () =>
      new Promise((resolve) => {
        if (closed || !raw.writableNeedDrain) return resolve()
        const done = (): void => {
          raw.off('drain', done).off('close', done)
          resolve()
        }
        raw.on('drain', done).on('close', done)
      }),
    next: async () => {
      while (true) {
        const taken = takeFrame(bytes)
        if (taken !== undefined) {
          bytes = taken.rest
          return taken.frame
        }
        if (closed) return undefined
        await more()
      }
    },
    [Symbol.dispose]: () => raw.destroy(),
  }
}

export const newKey = (): string => randomBytes(16).toString('base64')

/** The lines of a right request, some of them replaced, added or (undefined) left out. */
export const upgradeLines = (
  url: string,
  token: string,
  changes: Record<string, string | undefined> = {},
  start = 'GET /v1/ws HTTP/1.1',
): string[] => {
  const headers: Record<string, string | undefined> = {
    host: new URL(url).host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': newKey(),
    authorization: `Bearer ${token}`,
    ...changes,
  }
  return [
    start,
    ...Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : `${name}: ${value}`)),
  ]
}

export const openFrames = (url: string, token: string): Promise<FrameSocket> =>
  upgradeWith(url, upgradeLines(url, token))

/** What a server must answer to a key. */
export const acceptOf = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
