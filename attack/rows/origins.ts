import { NotUpgraded, upgradeLines, upgradeWith } from '../lib/frames.ts'
import { seenOfBytes, sendBytes } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'

/** The server of this row allows https://aicm.example.org. */
const allowed = 'https://aicm.example.org'

export const origins: Row = {
  name: 'origins',
  title: 'requests and upgrades with a foreign Origin, null, look-alikes of an allowed one, or a foreign Host',
  expected: '403 or 421, by exact list; nothing changed',
  run: async (attack, attempt) => {
    const { ask, url, alice } = await attack.shared()
    const { host, port } = new URL(url)
    const foreign = [
      'https://evil.example',
      'null',
      'NULL',
      '',
      'file://',
      `${allowed}.evil.example`,
      'https://evil-aicm.example.org',
      'https://xaicm.example.org',
      'https://aicm.example.org.',
      'https://sub.aicm.example.org',
      'https://example.org',
      'http://aicm.example.org',
      `${allowed}:8443`,
      `${allowed}/`,
      `${allowed} `,
      `${allowed}, https://evil.example`,
      'HTTPS://AICM.EXAMPLE.ORG',
      'https://аicm.example.org',
      `https://evil.example#${allowed}`,
      `https://aicm.example.org@evil.example`,
      `http://${host}.evil.example`,
      `http://localhost:${Number(port) + 1}`,
      `http://127.0.0.2:${port}`,
      `http://127.1:${port}`,
    ].map((origin) => Buffer.from(origin).toString('latin1'))

    const upgraded = async (headers: Record<string, string | undefined>): Promise<string> => {
      try {
        using _ = await upgradeWith(url, upgradeLines(url, alice.token, headers))
        return '101'
      } catch (error) {
        return error instanceof NotUpgraded ? error.seen : String(error)
      }
    }
    const sessions = async () => (await alice.client.sessions.list({ limit: 200 })).sessions.length
    const before = await sessions()
    // A space behind a header's value is no part of it.
    for (const origin of foreign.filter((one) => one.trim() === one)) {
      const { token } = alice
      for (const method of ['GET', 'POST', 'OPTIONS', 'DELETE'])
        attempt(
          `${method} from ${JSON.stringify(origin)}`,
          '403',
          (
            await ask('/v1/sessions', {
              method,
              token,
              headers: { origin },
              ...(method === 'POST' ? { body: {} } : {}),
            })
          ).seen,
        )
      attempt(`an upgrade from ${JSON.stringify(origin)}`, '403', await upgraded({ origin }))
    }
    attempt('sessions made by all of that', '0', `${(await sessions()) - before}`)

    for (const name of [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'xlocalhost',
      'localhost:1@evil.example',
      'aicm.example.org.evil.example',
      'localhost evil.example',
    ]) {
      attempt(`Host: ${name}`, '421', (await ask('/v1/sessions', { token: alice.token, headers: { host: name } })).seen)
      attempt(`an upgrade with Host: ${name}`, '421', await upgraded({ host: name }))
    }
    const bearer = `authorization: Bearer ${alice.token}\r\n`
    for (const [name, expected, head] of [
      ['two Hosts', '400 or 421', `GET /v1/sessions HTTP/1.1\r\nhost: ${host}\r\nhost: evil.example\r\n${bearer}`],
      [
        'two Hosts, ours last',
        '421 or 400',
        `GET /v1/sessions HTTP/1.1\r\nhost: evil.example\r\nhost: ${host}\r\n${bearer}`,
      ],
      ['no Host', '400 or 421', `GET /v1/sessions HTTP/1.1\r\n${bearer}`],
      [
        'a whole address of another host',
        '400 or 404 or 421',
        `GET http://evil.example/v1/sessions HTTP/1.1\r\nhost: ${host}\r\n${bearer}`,
      ],
      [
        'two Origins',
        '403',
        `GET /v1/sessions HTTP/1.1\r\nhost: ${host}\r\norigin: ${url}\r\norigin: https://evil.example\r\n${bearer}`,
      ],
    ] as const)
      attempt(name, expected, seenOfBytes(await sendBytes(url, `${head}connection: close\r\n\r\n`)))

    // What the refusals are held against: the same requests from where they may come.
    for (const origin of [url, allowed]) {
      const headers = { origin }
      attempt(`GET from ${origin}`, '200', (await ask('/v1/sessions', { token: alice.token, headers })).seen)
      // A page of our own needs no permission to read what it asked for.
      const permitted = origin === allowed ? allowed : 'none'
      const preflight = await ask('/v1/sessions', { method: 'OPTIONS', headers })
      const seen = preflight.headers['access-control-allow-origin'] ?? 'none'
      attempt(`what a preflight from ${origin} permits`, permitted, seen)
      attempt(`an upgrade from ${origin}`, '101', await upgraded({ origin }))
    }
  },
}
