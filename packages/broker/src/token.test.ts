import { mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mintSessionToken, tokenKey, verifySessionToken } from './token.ts'

const key = Buffer.alloc(32, 1)
const identity = { sessionId: 'ses_01hzy3v5k8m9n0p1q2r3s4t5v6', userId: 'usr_01hzy3v5k8m9n0p1q2r3s4t5v6' }

test('a minted token names its session and user', () => {
  const token = mintSessionToken(key, identity)
  expect(token).toMatch(/^aicm-ses_\w+\.usr_\w+\.[\w-]{43}$/)
  expect(verifySessionToken(key, token)).toEqual(identity)
})

test('a token with any character changed, added or removed is nobody’s', () => {
  const token = mintSessionToken(key, identity)
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === 'A' ? 'B' : 'A'
    expect(verifySessionToken(key, token.slice(0, at) + other + token.slice(at + 1))).toBeNull()
    expect(verifySessionToken(key, token.slice(0, at) + token.slice(at + 1))).toBeNull()
  }
  expect(verifySessionToken(key, `${token}A`)).toBeNull()
  expect(verifySessionToken(key, '')).toBeNull()
})

test('the last character cannot be exchanged for one that decodes to the same bytes', () => {
  const token = mintSessionToken(key, identity)
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const accepted = [...alphabet].filter((last) => verifySessionToken(key, token.slice(0, -1) + last) !== null)
  expect(accepted).toEqual([token.at(-1)])
})

test('a token of another key is nobody’s', () => {
  expect(verifySessionToken(Buffer.alloc(32, 2), mintSessionToken(key, identity))).toBeNull()
})

test('an id that could be read as another token is not signed', () => {
  expect(() => mintSessionToken(key, { sessionId: 'a.b', userId: 'c' })).toThrow('letters')
  expect(() => mintSessionToken(key, { sessionId: 'a', userId: '' })).toThrow('letters')
})

test('the key is made once, is the owner’s alone, and leaves no draft behind', () => {
  const dir = mkdtempSync(join(tmpdir(), 'aicm-token-'))
  const first = tokenKey(dir)
  expect(first).toHaveLength(32)
  expect(tokenKey(dir)).toEqual(first)
  expect(readdirSync(dir)).toEqual(['token.key'])
  expect(statSync(join(dir, 'token.key')).mode & 0o777).toBe(0o600)
})

test('a damaged key is refused, not replaced in silence', () => {
  const dir = mkdtempSync(join(tmpdir(), 'aicm-token-'))
  writeFileSync(join(dir, 'token.key'), 'short')
  expect(() => tokenKey(dir)).toThrow('is damaged')
})
