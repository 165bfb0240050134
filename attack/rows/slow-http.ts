import { once } from 'node:events'
import { connect } from 'node:net'
import { freshAddress, seenOfBytes } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'
import type { Target } from '../lib/target.ts'

const drips = 50
const dripMs = 500
/** No request may take longer than this to come. */
const patienceMs = 120_000

/** Sends one byte at a time, for ever; resolves with what was answered when the server had enough of it. */
const drip = async (target: Target, head: string, more: string): Promise<string> => {
  const { hostname, port } = new URL(target.url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: freshAddress() })
  socket.on('error', () => undefined)
  let text = ''
  socket.on('data', (part: Buffer) => (text += part.toString('latin1')))
  socket.write(head)
  const timer = setInterval(() => socket.write(more), dripMs)
  const giveUp = setTimeout(() => socket.destroy(), patienceMs)
  await once(socket, 'close')
  clearInterval(timer)
  clearTimeout(giveUp)
  return seenOfBytes(text)
}

export const slowHttp: Row = {
  name: 'slow-http',
  title: 'headers and bodies that come one byte at a time, silent connections',
  expected: '408 and closed, others served meanwhile',
  slow: true,
  run: async (attack, attempt) => {
    await using target = await attack.own()
    const { host } = new URL(target.url)
    const bearer = `authorization: Bearer ${target.alice.token}\r\n`
    const post = `POST /v1/sessions HTTP/1.1\r\nhost: ${host}\r\n${bearer}content-type: application/json\r\ncontent-length: 1000\r\n\r\n`
    const kinds = [
      ['headers', `GET /v1/sessions HTTP/1.1\r\nhost: ${host}\r\n`, 'x: y\r\n'],
      ['a body', post, ' '],
      ['a log-in', post.replace('/v1/sessions', '/v1/auth/login').replace(bearer, ''), ' '],
    ] as const
    const dripping = kinds.flatMap(([name, head, more]) =>
      Array.from({ length: drips }, async () => [name, await drip(target, head, more)] as const),
    )
    attempt('another user meanwhile', 'served', await target.serves())
    for (const [name, seen] of await Promise.all(dripping)) attempt(`${name}, byte by byte`, '408', seen)
    attempt('another user afterwards', 'served', await target.serves())
  },
}
