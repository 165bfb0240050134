import { once } from 'node:events'
import { BlockList, createServer, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { requires } from '@aicm/testing/requires'
import { expect, test } from 'vitest'
import { reachableOf } from '../config/reachable.ts'
import { createEgress, type Resolve } from './egress.ts'

const allowing = (...settings: string[]) => {
  const allowed = reachableOf(settings)
  if (typeof allowed === 'string') throw new Error(`${allowed} is neither a host nor a network`)
  return allowed
}

/** Says `name` to whoever comes. */
const listen = async (address: string, name: string, port = 0) => {
  let heard = 0
  const server = createServer((socket) => {
    heard++
    socket.end(name)
  })
  server.listen(port, address)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    heard: () => heard,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

const said = async (connection: Awaited<ReturnType<ReturnType<typeof createEgress>['connect']>>): Promise<string> =>
  typeof connection === 'string' ? connection : text(connection)

/** Each answer for one question; the last one for all further. */
const answers = (...all: string[][]): Resolve & { asked: string[] } => {
  const asked: string[] = []
  return Object.assign(
    async (host: string) => {
      const found = all[Math.min(asked.length, all.length - 1)] ?? []
      asked.push(host)
      return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    },
    { asked },
  )
}

test('nothing on this machine or near it is reached, by no name and in no form', async () => {
  await using canary = await listen('127.0.0.1', 'canary')
  const { port } = canary
  const egress = createEgress({ allowed: allowing() })
  for (const host of ['127.0.0.1', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '0', '::1', '::ffff:127.0.0.1'])
    expect(await egress.connect({ host, port }), host).toBe('address_refused')
  expect(await egress.connect({ host: 'localhost', port })).toBe('address_refused')
  for (const host of ['169.254.169.254', 'fe80::1', 'fd00::1', '10.0.0.1', '100.64.0.1', '224.0.0.1'])
    expect(await egress.connect({ host, port }), host).toBe('address_refused')
  expect(canary.heard()).toBe(0)
})

test("a public address of this machine's own is refused", async () => {
  const own = new BlockList()
  own.addAddress('8.8.8.8')
  own.addAddress('2606:4700::1', 'ipv6')
  const egress = createEgress({
    ...{ allowed: allowing(), own: () => own },
    resolve: answers(['8.8.8.8'], ['2606:4700:0:0::1']),
  })
  for (let round = 0; round < 2; round++)
    expect(await egress.connect({ host: 'own.example.org', port: 9 })).toBe('address_refused')
})

// All of 127.0.0.0/8 is Linux's own. 127.0.0.2 stands for a public address.
requires('linux')('a name is asked for once, and what it leads to the next time is looked at again', async () => {
  await using outside = await listen('127.0.0.2', 'outside')
  await using canary = await listen('127.0.0.1', 'canary', outside.port)
  const resolve = answers(['127.0.0.2'], ['127.0.0.1'])
  const egress = createEgress({ allowed: allowing('127.0.0.2'), resolve })
  const target = { host: 'rebinding.example.org', port: outside.port }
  expect(await said(await egress.connect(target))).toBe('outside')
  expect(resolve.asked).toEqual([target.host])
  expect(await said(await egress.connect(target))).toBe('address_refused')
  expect(canary.heard()).toBe(0)
})

requires('linux')('of several addresses only those are connected to that may be', async () => {
  await using outside = await listen('127.0.0.2', 'outside')
  await using canary = await listen('127.0.0.1', 'canary', outside.port)
  const egress = createEgress({
    ...{ allowed: allowing('127.0.0.2'), resolve: answers(['127.0.0.1', '::1', '127.0.0.2', '10.0.0.1']) },
  })
  expect(await said(await egress.connect({ host: 'several.example.org', port: outside.port }))).toBe('outside')
  expect(canary.heard()).toBe(0)
})

test('the operator allows hosts, whatever they lead to, and networks', async () => {
  await using inside = await listen('127.0.0.1', 'inside')
  const { port } = inside
  const egress = createEgress({
    allowed: allowing('Git.Example.org', '127.0.0.0/30'),
    resolve: answers(['127.0.0.1'], ['127.0.0.1'], ['127.0.0.4'], ['127.0.0.1']),
  })
  for (const host of ['git.example.org', 'GIT.example.ORG.'])
    expect(await said(await egress.connect({ host, port }))).toBe('inside')
  expect(await egress.connect({ host: 'beyond.example.org', port })).toBe('address_refused')
  expect(await said(await egress.connect({ host: 'within.example.org', port }))).toBe('inside')
  expect(await createEgress({ allowed: allowing('example.org') }).connect({ host: 'localhost', port })).toBe(
    'address_refused',
  )
})

test('what has no address, and what takes no connection, is told apart', async () => {
  const closed = await listen('127.0.0.1', 'closed')
  await closed[Symbol.asyncDispose]()
  const egress = createEgress({ allowed: allowing('127.0.0.1') })
  expect(await egress.connect({ host: '127.0.0.1', port: closed.port })).toBe('host_unreachable')
  expect(await egress.connect({ host: 'no host', port: 1 })).toBe('host_not_found')
})

test('a setting that is neither a host nor a network is refused', () => {
  for (const wrong of [
    '',
    'https://example.org',
    'example.org:443',
    '10.0.0.0/33',
    '-x',
    '10.0.0.0/8/8',
    'a b',
    '[::1]',
  ])
    expect(reachableOf(['example.org', '::1', wrong])).toBe(wrong)
})
