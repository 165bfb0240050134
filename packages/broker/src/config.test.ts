import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

const credential = { id: 'crd_1', userId: null, upstream: 'https://api.example.com', kind: 'none' }
const live = (change: object) => ({ mode: 'live', credentials: [{ ...credential, ...change }] })

test('both modes are taken, and the upstream loses its last slash', () => {
  expect(parseConfig({ mode: 'demo' })).toEqual({ mode: 'demo', credentials: [] })
  const key = { kind: 'api-key', value: 'k', upstream: 'https://api.example.com/claude/' }
  expect(parseConfig(live(key))).toEqual(live({ ...key, upstream: 'https://api.example.com/claude' }))
})

test("a subscription's token that is nobody's own is refused", () => {
  const token = { kind: 'oauth-token', value: 'secret' }
  expect(() => parseConfig(live(token))).toThrow('its owner only')
  expect(parseConfig(live({ ...token, userId: 'usr_1' })).credentials).toHaveLength(1)
})

test.each([
  [null, 'JSON object'],
  [[], 'JSON object'],
  [{ mode: 'other' }, 'mode must be'],
  [{ mode: 'demo', upstream: 'https://a' }, 'unknown key "upstream"'],
  [live({ upstream: 'ftp://a' }), 'http or https'],
  [live({ upstream: 'nonsense' }), 'must be a URL'],
  [live({ upstream: 'https://user:secret@a' }), 'must not contain a user name'],
  [live({ upstream: 'https://a?key=secret' }), 'must not contain a query'],
  [live({ kind: 'api-key' }), 'credential.value'],
  [live({ kind: 'api-key', value: 'secret\r\nx: y' }), 'credential.value'],
  [live({ kind: 'none', value: 'secret' }), 'unknown key "value"'],
  [live({ kind: 'password', value: 'secret' }), 'credential.kind'],
  [{ mode: 'demo', budgets: { server: { day: { usd: -1 } } } }, 'usd must be'],
  [{ mode: 'demo', prices: { 'claude-x': { input: 1 } } }, 'needs input and output'],
  [{ mode: 'demo', sealKey: 'c2VjcmV0' }, 'sealKey'],
])('refuses %j and never repeats a secret', (config, message) => {
  expect(() => parseConfig(config)).toThrow(message)
  expect(() => parseConfig(config)).not.toThrow('secret')
})
