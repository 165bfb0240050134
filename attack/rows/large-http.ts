import { request } from 'node:http'
import { frame, openFrames, opcodes } from '../lib/frames.ts'
import { codeOf, freshAddress, parsed, seenOfBytes, sendBytes } from '../lib/http.ts'
import { flatness, memoryRise } from '../lib/memory.ts'
import type { Row } from '../lib/row.ts'
import { nextAnswer } from '../lib/ws-cases.ts'

const mebibyte = 1024 ** 2
const sizes = { full: 1024, quick: 256, test: 96 }

/** A body of many megabytes, until it is all sent or an answer has come. */
const sendMuch = (url: string, path: string, token: string, megabytes: number, chunked: boolean): Promise<string> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url)
    const sent = request({
      ...{ hostname, port, path, method: 'POST', agent: false, localAddress: freshAddress() },
      headers: {
        // Whoever wants the connection closed with the answer cannot go on sending, and may miss it.
        connection: 'keep-alive',
        'content-type': 'application/json',
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(chunked ? {} : { 'content-length': megabytes * mebibyte }),
      },
    })
    let answered = false
    const answer = (seen: string): void => {
      answered = true
      resolve(seen)
      sent.destroy()
    }
    sent.on('error', () => answered || answer('closed'))
    sent.on('response', (response) => {
      let text = ''
      response.on('data', (part: Buffer) => (text += part.toString('utf8')))
      response.on('error', () => undefined)
      response.on('end', () => answer([response.statusCode, codeOf(parsed(text))].filter(Boolean).join(' ')))
    })
    const piece = Buffer.alloc(mebibyte, 0x20)
    let at = 0
    const more = (): void => {
      while (at < megabytes && !answered) {
        at += 1
        if (!sent.write(piece)) return void sent.once('drain', more)
      }
      if (!answered) sent.end()
    }
    more()
  })

const duplicates = [
  '{"prompt":"a","prompt":"b"}',
  '{"prompt":"a","\\u0070rompt":"b"}',
  '{"prompt":"a","id":"x","prompt":"b"}',
  '{"content":[{"type":"text","type":"image","text":"x"}]}',
]

export const largeHttp: Row = {
  name: 'large-http',
  title: 'huge headers, a 1 GB body, JSON nested 100,000 deep, __proto__, duplicate keys, requests that are none',
  expected: '431 / 413 / 400, memory flat',
  run: async (attack, attempt) => {
    const target = await attack.shared()
    const { ask, url, alice, server } = target
    const { token } = alice
    const { host } = new URL(url)
    const bearer = `authorization: Bearer ${token}\r\n`
    const head = `GET /v1/sessions HTTP/1.1\r\nhost: ${host}\r\n${bearer}`

    const rise = await memoryRise(server.pid(), async () => {
      for (const [name, expected, bytes] of [
        ['a header of 1 MB', '431', `${head}x: ${'x'.repeat(mebibyte)}\r\n\r\n`],
        ['100,000 headers', '431', `${head}${'x: 1\r\n'.repeat(100_000)}\r\n`],
        ['a path of 1 MB', '431 or 414 or 400', `GET /${'x'.repeat(mebibyte)} HTTP/1.1\r\nhost: ${host}\r\n\r\n`],
        [
          'a token of 1 MB',
          '431',
          `GET /v1/sessions HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${'x'.repeat(mebibyte)}\r\n\r\n`,
        ],
        ['a header without an end', '431', `${head}x: ${'x'.repeat(mebibyte)}`],
      ] as const)
        attempt(name, expected, seenOfBytes(await sendBytes(url, bytes)))

      for (const [path, as] of [
        ['/v1/auth/login', ''],
        ['/v1/sessions', token],
        ['/v1/execute', token],
      ] as const)
        for (const chunked of [true, false])
          attempt(
            `${sizes[attack.size]} MB to ${path}${chunked ? ', in chunks' : ''}`,
            '413',
            await sendMuch(url, path, as, sizes[attack.size], chunked),
          )
      attempt(
        `${sizes[attack.size]} MB without a token`,
        '401 or closed',
        await sendMuch(url, '/v1/sessions', '', sizes[attack.size], true),
      )
      for (const [name, deep] of [
        ['arrays', '['.repeat(100_000)],
        ['arrays that end', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
        ['objects', '{"a":'.repeat(100_000)],
        ['objects in a known key', `{"prompt":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`],
      ] as const) {
        attempt(
          `${name} nested without end`,
          '400',
          (await ask('/v1/execute', { method: 'POST', token, body: deep })).seen,
        )
        using socket = await openFrames(url, token)
        socket.write(frame(opcodes.text, deep))
        attempt(
          `${name} nested without end, over the WebSocket`,
          'error invalid_json or error invalid_request',
          await nextAnswer(socket),
        )
      }
    })
    attempt("the server's memory", 'flat', flatness(rise, 128))

    using socket = await openFrames(url, token)
    const session = await alice.client.sessions.create()
    const path = `/v1/sessions/${session.id}/execute`
    for (const [name, body] of [
      ['__proto__', '{"prompt":"a","__proto__":{"admin":true}}'],
      ['__proto__ below', '{"content":[{"type":"text","text":"a","__proto__":{"x":1}}]}'],
      ['constructor', '{"prompt":"a","constructor":{"prototype":{"admin":true}}}'],
      ['an escaped __proto__', '{"prompt":"a","\\u005f_proto__":{"admin":true}}'],
      ...duplicates.map((text) => [text, text] as const),
    ] as const) {
      attempt(name, '400', (await ask(path, { method: 'POST', token, body })).seen)
      const message = `{"type":"execute","ref":"x","sessionId":"${session.id}",${body.slice(1)}`
      socket.write(frame(opcodes.text, message))
      attempt(`${name}, over the WebSocket`, 'error invalid_json or error invalid_request', await nextAnswer(socket))
    }
    const key = await ask('/v1/sessions', { token })
    attempt('a plain object afterwards', 'clean', 'admin' in {} || key.text.includes('"admin"') ? 'polluted' : 'clean')
    await alice.client.sessions.delete(session.id)

    const post = `POST /v1/sessions HTTP/1.1\r\nhost: ${host}\r\n${bearer}content-type: application/json\r\n`
    for (const [name, bytes] of [
      ['two lengths', `${post}content-length: 2\r\ncontent-length: 3\r\n\r\n{}x`],
      ['a length and chunks', `${post}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
      ['a length with a sign', `${post}content-length: +2\r\n\r\n{}`],
      ['a negative length', `${post}content-length: -1\r\n\r\n`],
      ['a length past all numbers', `${post}content-length: 99999999999999999999\r\n\r\n`],
      ['chunks that are none', `${post}transfer-encoding: chunked\r\n\r\nzz\r\n`],
      ['an unknown encoding', `${post}transfer-encoding: gzip, chunked, identity\r\n\r\n0\r\n\r\n`],
      ['a space before a colon', `${post}content-length : 2\r\n\r\n{}`],
      ['a line end in a header', `${head}x: a\rb\r\n\r\n`],
      ['a zero in a header', `${head}x: a\0b\r\n\r\n`],
      ['bare line feeds', `GET /v1/sessions HTTP/1.1\nhost: ${host}\n\n`],
      ['no HTTP at all', 'SSH-2.0-x\r\n\r\n'],
      ['TLS', Buffer.from('16030100a5010000a1030300', 'hex')],
      ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['CONNECT', `CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: ${host}\r\n\r\n`],
    ] as const)
      attempt(name, '400 or 401 or 404 or 405 or 501 or closed', seenOfBytes(await sendBytes(url, bytes)))
    attempt('another user afterwards', 'served', await target.serves())
  },
}
