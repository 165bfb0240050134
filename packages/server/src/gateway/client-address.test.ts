import { expect, test } from 'vitest'
import { networksOf } from '../config/gateway.ts'
import { createOrigins } from './client-address.ts'

const proxies = networksOf(['10.0.0.0/8', '2001:db8:ffff::/48'])
const origins = createOrigins(typeof proxies === 'string' ? undefined : proxies)

const from = (remoteAddress: string, headers: Record<string, string | undefined> = {}) =>
  origins.addressOf({ socket: { remoteAddress }, headers } as never)
const schemeFrom = (remoteAddress: string, headers: Record<string, string> = {}, encrypted = false) =>
  origins.schemeOf({ socket: { remoteAddress, encrypted }, headers } as never)

test('nobody but a trusted proxy says where a request comes from', () => {
  for (const headers of [
    { 'x-forwarded-for': '1.2.3.4' },
    { forwarded: 'for=1.2.3.4' },
    { 'x-real-ip': '1.2.3.4' },
    { 'x-forwarded-for': '10.0.0.1' },
  ])
    expect(from('192.0.2.9', headers)).toBe('192.0.2.9')
  expect(
    createOrigins(undefined).addressOf({
      socket: { remoteAddress: '10.0.0.1' },
      headers: { 'x-forwarded-for': '1.2.3.4' },
    } as never),
  ).toBe('10.0.0.1')
})

test('of what stands in the header the last hop that is no trusted proxy counts: what is left of it may be forged', () => {
  expect(from('10.0.0.1', { 'x-forwarded-for': '192.0.2.9' })).toBe('192.0.2.9')
  expect(from('10.0.0.1', { 'x-forwarded-for': '1.2.3.4, 192.0.2.9' })).toBe('192.0.2.9')
  expect(from('10.0.0.1', { 'x-forwarded-for': '1.2.3.4, 192.0.2.9, 10.0.0.7' })).toBe('192.0.2.9')
  expect(from('10.0.0.1', { 'x-forwarded-for': '10.0.0.9, 10.0.0.7' })).toBe('10.0.0.9')
  expect(from('::ffff:10.0.0.1', { 'x-forwarded-for': '192.0.2.9:4711' })).toBe('192.0.2.9')
  expect(from('2001:db8:ffff::1', { 'x-forwarded-for': '[2001:db8::9]:4711' })).toBe('2001:db8::9')
  expect(from('10.0.0.1', { forwarded: 'for=1.2.3.4, For="[2001:db8::9]:4711";proto=https' })).toBe('2001:db8::9')
  expect(from('10.0.0.1', { 'x-forwarded-for': '192.0.2.9', forwarded: 'for=1.2.3.4' })).toBe('192.0.2.9')
})

test('what is no address ends the search', () => {
  expect(from('10.0.0.1')).toBe('10.0.0.1')
  expect(from('10.0.0.1', { 'x-forwarded-for': '' })).toBe('10.0.0.1')
  expect(from('10.0.0.1', { 'x-forwarded-for': '1.2.3.4, unknown' })).toBe('10.0.0.1')
  expect(from('10.0.0.1', { 'x-forwarded-for': '1.2.3.4, <script>, 10.0.0.2' })).toBe('10.0.0.2')
  expect(from('10.0.0.1', { forwarded: 'for=_hidden' })).toBe('10.0.0.1')
})

test('the scheme is known where the server speaks TLS itself, or a trusted proxy says so', () => {
  expect(schemeFrom('192.0.2.9', {}, true)).toBe('https')
  expect(schemeFrom('192.0.2.9', { 'x-forwarded-proto': 'https' })).toBeUndefined()
  expect(schemeFrom('10.0.0.1', { 'x-forwarded-proto': 'https' })).toBe('https')
  expect(schemeFrom('10.0.0.1', { 'x-forwarded-proto': 'https, http' })).toBe('http')
  expect(schemeFrom('10.0.0.1', { forwarded: 'for=1.2.3.4;proto=https' })).toBe('https')
  expect(schemeFrom('10.0.0.1')).toBeUndefined()
})
