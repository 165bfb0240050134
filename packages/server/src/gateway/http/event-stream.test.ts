import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { expect, test } from 'vitest'
import { batchesOf } from '../../session/follow.ts'
import { sendEventStream } from './event-stream.ts'

/** A route whose readers have gone by the time that it has something for them. Resolves with whether they were followed for. */
const answerLate = async (
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  gone: Promise<unknown>,
): Promise<boolean> => {
  await gone
  let followed = false
  await sendEventStream({
    ...{ request, reply, after: { seq: 0 } },
    follow: (_after, signal) =>
      batchesOf(async () => {
        followed = true
        if (!signal.aborted) await once(signal, 'abort')
        return undefined
      }),
    watch: () => () => undefined,
  })
  return followed
}

test('nothing is followed for a reader that went before its stream began', async () => {
  await using app = fastify()
  const followed = new Promise((resolve) =>
    app.get('/', async (request, reply) => {
      resolve(await answerLate({ request, reply }, once(reply.raw, 'close')))
      return reply
    }),
  )
  const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }))
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  app.server.once('request', () => socket.destroy())
  expect(await followed).toBe(false)
})

test('nor over HTTP/2', async () => {
  await using app = fastify({ http2: true })
  const followed = new Promise((resolve) =>
    app.get('/', async (request, reply) => {
      const like = { request, reply } as unknown as { request: FastifyRequest; reply: FastifyReply }
      resolve(await answerLate(like, once(reply.raw, 'close')))
      return reply
    }),
  )
  const session = connectHttp2(await app.listen({ port: 0, host: '127.0.0.1' }))
  const stream = session.request({ ':path': '/' }).on('error', () => undefined)
  app.server.once('request', () => stream.close(8))
  expect(await followed).toBe(false)
  session.destroy()
})
