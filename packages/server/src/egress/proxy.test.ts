import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
import { reachableOf } from '../config/reachable.ts'
import { behindProxy } from '../process/behind-proxy.ts'
import { run } from '../process/run.ts'
import { systemPath } from '../lib/system-path.ts'
import { createEgress } from './egress.ts'
import { openEgressProxy } from './proxy.ts'

const test = requires('linux')

const open = async () => {
  await using opened = new AsyncDisposableStack()
  const folder = opened.use(await tempDir())
  let connections = 0
  const echo = createServer((socket) => {
    connections++
    socket.on('error', () => undefined).pipe(socket)
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  opened.defer(() => void echo.close())
  const allowed = reachableOf(['127.0.0.1'])
  if (typeof allowed === 'string') throw new Error(allowed)
  // Longer than the path of a socket can be.
  const dir = join(folder.path, 'x'.repeat(120))
  mkdirSync(dir)
  const proxy = opened.use(await openEgressProxy({ dir, egress: createEgress({ allowed }) }))
  const resources = opened.move()
  return {
    proxy,
    port: (echo.address() as AddressInfo).port,
    socket: join(dir, 'api.sock'),
    connections: () => connections,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** A client behind the relay that programs have; it prints what is answered to `bytes`, which it sends one by one. */
const answerTo = async (socket: string, bytes: number[], length: number): Promise<Buffer> => {
  const client = `
    const [host, port] = new URL(process.env.ALL_PROXY).host.split(':')
    const socket = require('net').connect(port, host)
    let got = Buffer.alloc(0)
    const end = () => { console.log(got.toString('hex')); process.exit() }
    socket.on('data', (data) => { got = Buffer.concat([got, data]); if (got.length >= ${length}) end() })
    socket.on('close', end)
    ;(async () => { for (const byte of ${JSON.stringify(bytes)}) await new Promise((sent) => socket.write(Buffer.from([byte]), sent)) })()
  `
  const { stdout, stderr } = await run([...behindProxy, socket, process.execPath, '--eval', client], {
    ...{ env: { PATH: systemPath }, timeoutMs: 20_000 },
  })
  expect(stderr).toBe('')
  return Buffer.from(stdout.trim(), 'hex')
}

const hello = [5, 1, 0]
const portOf = (port: number): number[] => [port >> 8, port & 255]
const named = (host: string, port: number): number[] => [5, 1, 0, 3, host.length, ...Buffer.from(host), ...portOf(port)]
const success = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

test('a program behind the relay speaks with whom it names, byte by byte', async () => {
  await using opened = await open()
  const { proxy, port, socket } = opened
  for (const target of [named('127.0.0.1', port), [5, 1, 0, 1, 127, 0, 0, 1, ...portOf(port)]]) {
    const answer = await answerTo(socket, [...hello, ...target, ...Buffer.from('hello')], success.length + 5)
    expect([...answer]).toEqual([...success, ...Buffer.from('hello')])
  }
  expect(proxy.failure()).toBeUndefined()
})

test('the first target that is refused is kept, and the others are refused too', async () => {
  await using opened = await open()
  const { proxy, port, socket } = opened
  const codeOf = async (request: number[]): Promise<number | undefined> =>
    (await answerTo(socket, [...hello, ...request], success.length))[3]
  const metadata = [5, 1, 0, 1, 169, 254, 169, 254, 0, 80]
  expect(await codeOf([5, 1, 0, 4, ...Array.from({ length: 15 }, () => 0), 1, ...portOf(port)])).toBe(2)
  expect(proxy.failure()).toEqual({ host: '::1', port, reason: 'address_refused' })
  expect(await codeOf(metadata)).toBe(2)
  expect(await codeOf(named('a b\u001b[2J', port))).toBe(4)
  expect(await codeOf([5, 2, 0, 1, 127, 0, 0, 1, ...portOf(port)])).toBe(7)
  expect(proxy.failure()?.host).toBe('::1')
})

test('when it is closed, so are its connections', async () => {
  const { port, socket, connections, [Symbol.asyncDispose]: close } = await open()
  const answer = answerTo(socket, [...hello, ...named('127.0.0.1', port)], Number.MAX_SAFE_INTEGER)
  await until('it is connected', () => connections() > 0)
  await close()
  expect([...(await answer)]).toEqual(success)
})
