import { frame, opcodes } from '../lib/frames.ts'
import type { Row } from '../lib/row.ts'
import { request, runFamily, type Case } from '../lib/ws-cases.ts'

const { text, binary, continuation, ping, pong, close } = opcodes

/** A request in so many fragments, with something between each two. */
const inFragments = (count: number, between: readonly Buffer[] = []): Buffer[] => {
  const whole = request()
  const size = Math.ceil(whole.length / count)
  return Array.from({ length: count }, (_, at) => [
    ...(at === 0 ? [] : between),
    frame(at === 0 ? text : continuation, whole.slice(at * size, (at + 1) * size), { fin: at === count - 1 }),
  ]).flat()
}

export const wsFragments: Row = {
  name: 'ws-fragments',
  title: 'WebSocket fragments: few, many, empty, with control frames between; out of order',
  expected: 'put together, control frames answered between; 1002 out of order',
  run: (attack, attempt) =>
    runFamily(attack, attempt, [
      ...[2, 3, request().length].map((count): Case => ({
        name: `a text in ${count} fragments`,
        expected: 'message pong',
        bytes: inFragments(count),
      })),
      {
        name: 'fragments in one piece',
        expected: 'message pong',
        bytes: [Buffer.concat(inFragments(4))],
      },
      {
        name: 'a ping between two fragments',
        expected: 'pong of 5, message pong',
        bytes: inFragments(2, [frame(ping, 'hello')]),
        answers: 2,
      },
      {
        name: 'a pong between two fragments',
        expected: 'message pong',
        bytes: inFragments(2, [frame(pong, 'hello')]),
      },
      {
        name: 'a close between two fragments',
        expected: 'close 1000',
        bytes: inFragments(2, [frame(close, Buffer.from([0x03, 0xe8]))]),
      },
      {
        name: 'empty fragments before, between and behind',
        expected: 'message pong',
        bytes: [
          frame(text, '', { fin: false }),
          frame(continuation, request(), { fin: false }),
          frame(continuation, '', { fin: false }),
          frame(continuation, ''),
        ],
      },
      {
        name: 'a binary in two fragments',
        expected: 'error invalid_request',
        bytes: [frame(binary, 'a', { fin: false }), frame(continuation, 'b')],
      },
      ...[text, binary].flatMap((opcode): Case[] =>
        [true, false].map((fin) => ({
          name: `a new message (${opcode}, ${fin ? 'whole' : 'a fragment'}) inside another`,
          expected: 'close 1002',
          bytes: [frame(text, '{', { fin: false }), frame(opcode, '}', { fin })],
        })),
      ),
      ...[true, false].map((fin): Case => ({
        name: `a continuation (${fin ? 'the last' : 'not the last'}) of nothing`,
        expected: 'close 1002',
        bytes: [frame(continuation, 'x', { fin }), frame(text, request())],
      })),
      {
        name: 'a continuation after the last one',
        expected: 'message pong or close 1002',
        bytes: [...inFragments(2), frame(continuation, 'x')],
      },
    ]),
}
