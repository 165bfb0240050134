import { expect, test } from 'vitest'
import { networkOf, plainAddress, sourceOf } from './networks.ts'

test('all addresses of a /64 count as one, however they are written', () => {
  const same = [
    '2001:db8:0:1::1',
    '2001:db8:0:1::',
    '2001:0db8:0000:0001:ffff:ffff:ffff:ffff',
    '2001:DB8::1:0:0:0:1',
    '2001:db8:0:1:2::192.0.2.1',
    '2001:db8:0:1::1%eth0',
  ]
  expect(new Set(same.map(sourceOf))).toEqual(new Set(['2001:db8:0:1::/64']))
  expect(sourceOf('2001:db8:0:2::1')).toBe('2001:db8:0:2::/64')
  expect(sourceOf('::1')).toBe('0:0:0:0::/64')
})

test('an IPv4 address counts as itself, and for passwords as its /24', () => {
  expect(sourceOf('192.0.2.7')).toBe('192.0.2.7')
  expect(networkOf('192.0.2.7')).toBe('192.0.2.0/24')
  expect(networkOf('2001:db8:0:1::1')).toBe('2001:db8:0:1::/64')
})

test('an IPv4 address is the same over a socket that speaks both', () => {
  expect(plainAddress('::ffff:192.0.2.7')).toBe('192.0.2.7')
  expect(plainAddress('::FFFF:192.0.2.7')).toBe('192.0.2.7')
  expect(plainAddress('2001:db8::1')).toBe('2001:db8::1')
})

test('what is no address at all counts as what it says', () => {
  expect(sourceOf('unknown')).toBe('unknown')
  expect(networkOf('a:b')).toBe('a:b')
})
