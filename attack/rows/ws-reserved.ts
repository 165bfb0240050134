import { frame, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { request, runFamily, type Case } from '../lib/ws-cases.ts'

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at)
const known = Object.values(opcodes)

export const wsReserved: Row = {
  name: 'ws-reserved',
  title: 'WebSocket reserved bits (RSV1 of permessage-deflate too), reserved opcodes, frames without a mask',
  expected: '1002',
  run: (attack, attempt) =>
    runFamily(attack, attempt, [
      ...range(1, 7).flatMap((rsv) =>
        known.map((opcode): Case => ({
          name: `reserved bits ${rsv} in a frame with opcode ${opcode}`,
          expected: 'close 1002',
          bytes: [frame(opcode, opcode === opcodes.text ? request() : '', { rsv })],
        })),
      ),
      ...[...range(3, 7), ...range(11, 15)].flatMap((opcode) =>
        ['', 'payload'].map((payload): Case => ({
          name: `opcode ${opcode} with ${payload.length} bytes`,
          expected: 'close 1002',
          bytes: [frame(opcode, payload), frame(opcodes.text, request())],
        })),
      ),
      ...known.map((opcode): Case => ({
        name: `opcode ${opcode} without a mask`,
        expected: 'close 1002',
        bytes: [frame(opcode, opcode === opcodes.text ? request() : '', { masked: false })],
      })),
    ]),
}
