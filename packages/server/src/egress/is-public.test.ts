import { lookup } from 'node:dns/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isPublic } from './is-public.ts'

/** As in IANA's registries of special-purpose addresses. */
const notPublic4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]
const notPublic6 = [
  '::/8',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/32',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
  '4000::/3',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]

const groupsOf = (address: string): bigint[] => {
  const [head = '', tail = ''] = address.split('::')
  const [left, right] = [head, tail].map((text) => text.split(':').filter(Boolean))
  const zeros = Array.from({ length: 8 - (left?.length ?? 0) - (right?.length ?? 0) }, () => '0')
  return [...(left ?? []), ...zeros, ...(right ?? [])].map((group) => BigInt(`0x${group}`))
}

/** Any address of these networks, as a number. */
const inside = (networks: string[], bits: 32 | 128): fc.Arbitrary<bigint> =>
  fc.constantFrom(...networks).chain((network) => {
    const [address = '', length = '0'] = network.split('/')
    const parts = bits === 32 ? address.split('.').map(BigInt) : groupsOf(address)
    const base = parts.reduce((sum, part) => (sum << (bits === 32 ? 8n : 16n)) + part, 0n)
    const free = BigInt(bits) - BigInt(length)
    // The first and the last address are where a mistake would be.
    return fc
      .oneof(fc.constantFrom(0n, (1n << free) - 1n), fc.bigInt({ min: 0n, max: (1n << free) - 1n }))
      .map((host) => base + host)
  })

const octets = (value: bigint): number[] => [24n, 16n, 8n, 0n].map((shift) => Number((value >> shift) & 255n))
const groups = (value: bigint): string[] =>
  Array.from({ length: 8 }, (_, at) => ((value >> BigInt(16 * (7 - at))) & 0xffffn).toString(16))
const dotted = (value: bigint): string => octets(value).join('.')

/** What inet_aton(3) takes for an address: one to four numbers, each in decimal, octal or hexadecimal. */
const written4 = (value: bigint): string[] => {
  const [a = 0, b = 0, c = 0, d = 0] = octets(value)
  const shapes = [[Number(value)], [a, (b << 16) | (c << 8) | d], [a, b, (c << 8) | d], [a, b, c, d]]
  const bases = [
    (number: number) => String(number),
    (number: number) => `0${number.toString(8)}`,
    (number: number) => `0x${number.toString(16).toUpperCase()}`,
  ]
  return shapes.flatMap((shape) => bases.map((inBase) => shape.map(inBase).join('.')))
}

const written6 = (value: bigint): string[] => {
  const all = groups(value)
  const full = all.map((group) => group.padStart(4, '0'))
  return [
    all.join(':'),
    full.join(':').toUpperCase(),
    `${all.slice(0, 6).join(':')}:${dotted(value & 0xffffffffn)}`,
    all.join(':').replace(/(^|:)0(:0)+(:|$)/, '::'),
  ]
}

/** What the system takes it for, which is what would be connected to. */
const areRefused = async (texts: string[]): Promise<void> => {
  for (const text of texts) {
    const found = await lookup(text, { all: true })
    expect(found.length, text).toBeGreaterThan(0)
    for (const { address } of found) expect(isPublic(address), `${text}, which is ${address}`).toBe(false)
  }
}

test('an IPv4 address that is not public is refused, however it is written', async () => {
  await fc.assert(fc.asyncProperty(inside(notPublic4, 32), (value) => areRefused(written4(value))))
})

test('an IPv6 address that is not public is refused, however it is written', async () => {
  await fc.assert(fc.asyncProperty(inside(notPublic6, 128), (value) => areRefused(written6(value))))
})

test('an IPv4 address within an IPv6 one is refused, whatever it is', async () => {
  const forms = (value: bigint): bigint[] => [
    (0xffffn << 32n) + value,
    (0xffff0000n << 32n) + value,
    value + 0x1_0000n,
    (0x64ff9bn << 96n) + value,
    (0x2002n << 112n) + (value << 80n),
  ]
  await fc.assert(
    fc.asyncProperty(fc.bigInt({ min: 0n, max: 0xffffffffn }), (value) => areRefused(forms(value).flatMap(written6))),
  )
})

test('what is public is public, and what is no address is not', () => {
  for (const address of [
    '8.8.8.8',
    '1.1.1.1',
    '140.82.112.3',
    '172.15.0.1',
    '172.32.0.1',
    '100.63.0.1',
    '223.255.255.1',
  ])
    expect(isPublic(address), address).toBe(true)
  for (const address of ['2606:4700:4700::1111', '2a00:1450:4001::1', '2620:0:861:1::1'])
    expect(isPublic(address), address).toBe(true)
  for (const text of ['', 'example.org', '8.8.8', '8.8.8.8/32', '0x08080808', '[2606:4700::1]', 'fe80::1%lo'])
    expect(isPublic(text), text).toBe(false)
})
