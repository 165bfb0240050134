import { acceptOf, frame, newKey, NotUpgraded, opcodes, upgradeLines, upgradeWith } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { nextAnswer, request } from '../lib/ws-cases.ts'

export const wsHandshake: Row = {
  name: 'ws-handshake',
  title: 'WebSocket upgrades: other versions, keys, protocols, paths and methods; permessage-deflate offered',
  expected: '101 for what is right, without extensions; else 400, 401, 404, 405, 426 or 431',
  run: async (attack, attempt) => {
    const target = await attack.shared()
    const { url, alice } = target

    const upgrade = async (lines: readonly string[]): Promise<{ seen: string; head: string }> => {
      try {
        using socket = await upgradeWith(url, lines)
        socket.write(frame(opcodes.text, request()))
        return { seen: `101 ${await nextAnswer(socket)}`, head: socket.head }
      } catch (error) {
        if (error instanceof NotUpgraded) return { seen: error.seen, head: '' }
        throw error
      }
    }
    const lines = (changes: Record<string, string | undefined>, start?: string) =>
      upgradeLines(url, alice.token, changes, start)

    const key = newKey()
    const good = await upgrade(lines({ 'sec-websocket-key': key }))
    attempt('a right upgrade', '101 message pong', good.seen)
    attempt('its accept key', 'true', `${good.head.includes(acceptOf(key))}`)
    for (const offer of [
      'permessage-deflate',
      'permessage-deflate; client_max_window_bits',
      'permessage-deflate; server_max_window_bits=99',
      'x-webkit-deflate-frame',
      ';;;,',
    ]) {
      const { seen, head } = await upgrade(lines({ 'sec-websocket-extensions': offer }))
      attempt(`extensions: ${offer}`, '101 message pong or 400', seen)
      attempt(`extensions: ${offer}: taken`, 'false', `${/sec-websocket-extensions/i.test(head)}`)
    }
    const cases: [string, string, string[]][] = [
      // Its frames are the same.
      ['version 8', '101 message pong or 400 or 426', lines({ 'sec-websocket-version': '8' })],
      ['version 99', '400 or 426', lines({ 'sec-websocket-version': '99' })],
      ['version x', '400 or 426', lines({ 'sec-websocket-version': 'x' })],
      ['no version', '400 or 426', lines({ 'sec-websocket-version': undefined })],
      ['no key', '400', lines({ 'sec-websocket-key': undefined })],
      ['a short key', '400', lines({ 'sec-websocket-key': 'c2hvcnQ=' })],
      ['a key that is no base64', '400', lines({ 'sec-websocket-key': '!!!!!!!!!!!!!!!!!!!!!!!!' })],
      ['a protocol that nobody knows', '101 message pong', lines({ 'sec-websocket-protocol': 'chat, soap' })],
      ['a protocol with commas only', '400', lines({ 'sec-websocket-protocol': ',,' })],
      ['HTTP/1.0', '400 or 426', lines({}, 'GET /v1/ws HTTP/1.0')],
      ['POST', '400 or 405', lines({}, 'POST /v1/ws HTTP/1.1')],
      ['another path', '404', lines({}, 'GET /v1/other HTTP/1.1')],
      ['a path that is no URL', '404 or 400', lines({}, 'GET // HTTP/1.1')],
      ['a path in another case', '404', lines({}, 'GET /V1/WS HTTP/1.1')],
      ['a path with an encoded letter', '404', lines({}, 'GET /v1/%77s HTTP/1.1')],
      ['a token in the query', '400', lines({}, `GET /v1/ws?token=${alice.token} HTTP/1.1`)],
      [
        'a token in the query, and no other',
        '400',
        lines({ authorization: undefined }, `GET /v1/ws?access_token=${alice.token} HTTP/1.1`),
      ],
      [
        'a ticket that was never made',
        '401',
        lines({ authorization: undefined }, 'GET /v1/ws?ticket=guessed HTTP/1.1'),
      ],
      ['no token', '401', lines({ authorization: undefined })],
      ['a header of 100 KB', '431', lines({ 'x-filler': 'x'.repeat(100_000) })],
      ['ten thousand headers', '431', [...lines({}), ...Array.from({ length: 10_000 }, (_, at) => `x-${at}: 1`)]],
      ['an upgrade to h2c', '200', lines({ upgrade: 'h2c', 'http2-settings': 'AAMAAABk' }, 'GET /healthz HTTP/1.1')],
      ['an upgrade to something else', '400 or 404 or 426', lines({ upgrade: 'irc' })],
      ['no Connection', '400 or 404 or 426', lines({ connection: 'close' })],
    ]
    for (const [name, expected, all] of cases) attempt(name, expected, (await upgrade(all)).seen)
    attempt('another user afterwards', 'served', await target.serves())
  },
}
