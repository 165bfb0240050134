import { closePayload, frame, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { request, runFamily, type Case } from '../lib/ws-cases.ts'

const { text, close, ping } = opcodes
const good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
const bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]

export const wsClose: Row = {
  name: 'ws-close',
  title: 'WebSocket closes: every code, no code, half a code, reasons, what comes after',
  expected: 'the code echoed, nothing answered behind it; 1002 for a code that may not be sent',
  run: (attack, attempt) =>
    runFamily(attack, attempt, [
      ...good.map((code): Case => ({
        name: `code ${code}`,
        expected: `close ${code}, closed`,
        bytes: [frame(close, closePayload(code, 'bye'))],
        answers: 2,
      })),
      ...bad.map((code): Case => ({
        name: `code ${code}`,
        expected: 'close 1002, closed',
        bytes: [frame(close, closePayload(code))],
        answers: 2,
      })),
      {
        name: 'no code',
        expected: 'close, closed or close 1005, closed',
        bytes: [frame(close)],
        answers: 2,
      },
      { name: 'half a code', expected: 'close 1002', bytes: [frame(close, Buffer.from([3]))] },
      {
        name: 'the longest reason',
        expected: 'close 1000',
        bytes: [frame(close, closePayload(1000, 'x'.repeat(123)))],
      },
      {
        name: 'a request after a close',
        expected: 'close 1000, closed',
        bytes: [Buffer.concat([frame(close, closePayload(1000)), frame(text, request())])],
        answers: 2,
      },
      {
        name: 'a ping after a close',
        expected: 'close 1000, closed',
        bytes: [Buffer.concat([frame(close, closePayload(1000)), frame(ping, 'x')])],
        answers: 2,
      },
      {
        name: 'two closes',
        expected: 'close 1000, closed',
        bytes: [Buffer.concat([frame(close, closePayload(1000)), frame(close, closePayload(1001))])],
        answers: 2,
      },
    ]),
}
