import { expect, test } from 'vitest'
import { upstreamHeaders } from './headers.ts'

const fromChild = {
  host: 'localhost',
  'x-api-key': 'aicm-a.b.c',
  authorization: 'Bearer aicm-a.b.c',
  cookie: 'a=b',
  connection: 'keep-alive, x-hop',
  'x-hop': 'mine',
  'transfer-encoding': 'chunked',
  'anthropic-beta': 'one,two',
  'anthropic-version': '2023-06-01',
  'accept-encoding': 'gzip, br',
}
const kept = { 'anthropic-beta': 'one,two', 'anthropic-version': '2023-06-01', 'accept-encoding': 'identity' }

test('what the child says about itself and its connection stays behind', () => {
  expect(upstreamHeaders(fromChild, { kind: 'none' })).toEqual(kept)
})

test('each kind of credential goes where the API looks for it', () => {
  expect(upstreamHeaders(fromChild, { kind: 'api-key', value: 'real' })).toEqual({ ...kept, 'x-api-key': 'real' })
  expect(upstreamHeaders(fromChild, { kind: 'auth-token', value: 'real' })).toEqual({
    ...kept,
    authorization: 'Bearer real',
  })
  expect(upstreamHeaders(fromChild, { kind: 'oauth-token', value: 'real' })).toEqual({
    ...kept,
    authorization: 'Bearer real',
    'anthropic-beta': 'one,two,oauth-2025-04-20',
  })
})

const oauthBetas = (value?: string) =>
  upstreamHeaders({ 'anthropic-beta': value }, { kind: 'oauth-token', value: 'real' })['anthropic-beta']

test('the OAuth beta is named once, also where the child named it or named none', () => {
  expect(oauthBetas('oauth-2025-04-20, x')).toBe('oauth-2025-04-20,x')
  expect(oauthBetas()).toBe('oauth-2025-04-20')
})
