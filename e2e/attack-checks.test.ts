import { once } from 'node:events'
import { WebSocketServer } from 'ws'
import { expect, test } from 'vitest'
import { frame, opcodes, openFrames } from '../attack/lib/frames.ts'
import { memoryRise } from '../attack/lib/memory.ts'
import { isMet, matches, type Attack, type Row, type Try } from '../attack/lib/row.ts'
import { runRow } from '../attack/lib/run-row.ts'
import { rowsOf } from '../attack/lib/table.ts'

// `npm run attack` must be able to say that something is wrong.

const run = (attempts: (attempt: Try) => void) => {
  const row: Row = { name: 'x', title: 'x', expected: 'x', run: async (_, attempt) => attempts(attempt) }
  return runRow({ note: () => undefined } as unknown as Attack, row)
}

test('a status stands for itself with its code, and for nothing that begins like it', () => {
  expect(matches('401', '401 unauthorized')).toBe(true)
  expect(matches('400 or 401', '401')).toBe(true)
  expect(matches('401', '4010')).toBe(false)
  expect(matches('401 or 403', '200')).toBe(false)
  expect(matches('close 1002', 'close 1009')).toBe(false)
})

test('a row is missed by one attempt that was wrong, by what it throws, and when it tried nothing', async () => {
  expect(isMet(await run((attempt) => attempt('a', '401', '401 unauthorized')))).toBe(true)
  const wrong = await run((attempt) => {
    attempt('a', '401', '401')
    attempt('b', '401', '200')
  })
  expect(isMet(wrong)).toBe(false)
  expect(rowsOf([wrong])[1]).toEqual(['x', '2', 'x', '1 not as expected; b: 200', 'MISSED'])
  expect(isMet(await run(() => undefined))).toBe(false)
  const thrown = await run((attempt) => {
    attempt('a', '401', '401')
    throw new Error('in the middle')
  })
  expect(isMet(thrown)).toBe(false)
})

test('the client of frames says what another library understands, in every size, and reads what it answers', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (socket) => {
    // It says so to the other side.
    socket.on('error', () => undefined)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  try {
    using socket = await openFrames(`http://127.0.0.1:${address.port}`, 'x')
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const payload = Buffer.alloc(size, 0x61)
      socket.write(frame(opcodes.text, payload))
      const answer = await socket.next()
      expect(answer).toMatchObject({ fin: true, rsv: 0, opcode: opcodes.text, masked: false })
      expect(answer?.payload.equals(payload)).toBe(true)
    }
    socket.write(frame(opcodes.binary, 'x', { masked: false }))
    const answer = await socket.next()
    expect(answer?.opcode).toBe(opcodes.close)
    expect(answer?.payload.readUInt16BE(0)).toBe(1002)
    expect(await socket.next()).toBeUndefined()
  } finally {
    server.close()
    for (const client of server.clients) client.terminate()
  }
})

test('memory that was used for a moment only is seen', async () => {
  const rise = await memoryRise(process.pid, async () => void Buffer.alloc(64 * 1024 ** 2, 1))
  expect(rise).toBeGreaterThan(32)
})
