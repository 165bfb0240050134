import { expect, test } from 'vitest'
import { parseConfig } from './config.ts'

test('both modes are taken, and the upstream loses its last slash', () => {
  expect(parseConfig({ mode: 'demo' })).toEqual({ mode: 'demo' })
  expect(
    parseConfig({
      mode: 'live',
      upstream: 'https://api.example.com/claude/',
      credential: { kind: 'api-key', value: 'k' },
    }),
  ).toEqual({
    mode: 'live',
    upstream: 'https://api.example.com/claude',
    credential: { kind: 'api-key', value: 'k' },
  })
})

const live = { mode: 'live', upstream: 'https://api.example.com', credential: { kind: 'none' } }

test.each([
  [null, 'JSON object'],
  [[], 'JSON object'],
  [{ mode: 'other' }, 'mode must be'],
  [{ mode: 'demo', upstream: 'https://a' }, 'unknown key "upstream"'],
  [{ ...live, upstream: 'ftp://a' }, 'http or https'],
  [{ ...live, upstream: 'nonsense' }, 'must be a URL'],
  [{ ...live, upstream: 'https://user:secret@a' }, 'must not contain a user name'],
  [{ ...live, upstream: 'https://a?key=secret' }, 'must not contain a query'],
  [{ ...live, credential: { kind: 'api-key' } }, 'credential.value'],
  [{ ...live, credential: { kind: 'api-key', value: 'secret\r\nx: y' } }, 'credential.value'],
  [{ ...live, credential: { kind: 'none', value: 'secret' } }, 'unknown key "value"'],
  [{ ...live, credential: { kind: 'password', value: 'secret' } }, 'credential.kind'],
])('refuses %j and never repeats a secret', (config, message) => {
  expect(() => parseConfig(config)).toThrow(message)
  expect(() => parseConfig(config)).not.toThrow('secret')
})
