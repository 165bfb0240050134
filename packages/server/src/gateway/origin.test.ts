import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { checkOrigin, originRules } from './origin.ts'

const rules = originRules({ host: '127.0.0.1', allowedOrigins: ['https://aicm.example.org'] })

/** What it says of a request with these headers, the way Node gives them: of two Hosts it keeps the first. */
const verdict = (rawHeaders: readonly string[], url = '/v1/sessions'): string => {
  const headers: Record<string, string> = {}
  for (let at = 0; at < rawHeaders.length; at += 2)
    headers[(rawHeaders[at] ?? '').toLowerCase()] ??= rawHeaders[at + 1] ?? ''
  try {
    checkOrigin(rules, { headers, rawHeaders, url } as unknown as IncomingMessage, undefined)
    return 'fine'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

test('a second Host is refused, whatever it says and however it is written', () => {
  expect(verdict(['Host', 'localhost'])).toBe('fine')
  expect(verdict(['Host', 'localhost', 'hOST', 'localhost'])).toBe('invalid_request')
  expect(verdict(['host', 'localhost', 'Origin', 'http://localhost', 'HOST', 'evil.example'])).toBe('invalid_request')
})

test('a whole address is taken when it names the same server as the Host header', () => {
  expect(verdict(['host', 'localhost:1'], 'http://localhost:1/v1/sessions')).toBe('fine')
  for (const url of ['http://evil.example/v1/sessions', 'HTTP://localhost:2/', 'http://localhost:1@evil.example/'])
    expect(verdict(['host', 'localhost:1'], url)).toBe('misdirected_request')
  expect(verdict(['host', 'localhost'], '*')).toBe('fine')
})

test('an origin counts by its exact text', () => {
  for (const origin of ['https://aicm.example.org', 'http://localhost', 'https://localhost'])
    expect(verdict(['host', 'localhost', 'origin', origin])).toBe('fine')
  for (const origin of [
    'https://aicm.example.org.evil.example',
    'https://aicm.example.org/',
    'null',
    '',
    'http://localhost:1',
  ])
    expect(verdict(['host', 'localhost', 'origin', origin])).toBe('origin_forbidden')
})

test('from another site a window comes to the callback of OpenID, and nothing else to the API', () => {
  const from = (site: string, mode: string, dest: string): string[] => [
    ...['host', 'localhost', 'sec-fetch-site', site, 'sec-fetch-mode', mode, 'sec-fetch-dest', dest],
  ]
  const callback = '/v1/auth/oidc/callback?state=x'
  for (const site of ['cross-site', 'same-site']) {
    expect(verdict(from(site, 'navigate', 'document'), callback)).toBe('fine')
    expect(verdict(from(site, 'navigate', 'document'), '/login')).toBe('fine')
    for (const [mode, dest] of [
      ['navigate', 'iframe'],
      ['no-cors', 'image'],
      ['no-cors', 'document'],
    ] as const)
      expect(verdict(from(site, mode, dest), callback)).toBe('origin_forbidden')
    for (const url of ['/v1/auth/oidc/start', `${callback.replace('?', '/?')}`, '/v1/sessions?/v1/auth/oidc/callback'])
      expect(verdict(from(site, 'navigate', 'document'), url)).toBe('origin_forbidden')
    expect(verdict([...from(site, 'navigate', 'document'), 'origin', 'http://evil.example'], callback)).toBe(
      'origin_forbidden',
    )
  }
})
