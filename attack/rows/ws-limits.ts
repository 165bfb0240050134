import { frame, openFrames, opcodes } from '../lib/frames.ts'
import { flatness, memoryRise } from '../lib/memory.ts'
import type { Attack, Row } from '../lib/row.ts'
import type { Target } from '../lib/target.ts'
import { nextAnswer, request, runFamily } from '../lib/ws-cases.ts'

const { text, continuation, ping } = opcodes
const mebibyte = 1024 ** 2
const sizes = { full: 1024, quick: 256, test: 96 }
/** As large as one message may be, twice over: as bytes and as text. */
const messageMegabytes = 160

/** Sends what `piece` gives until `count` pieces are sent or the server has closed, and says what it answered. */
const flood = async (target: Target, count: number, piece: (at: number) => Uint8Array): Promise<string> => {
  using socket = await openFrames(target.url, target.alice.token)
  const answer = nextAnswer(socket)
  let answered = false
  void answer.then(() => (answered = true))
  for (let at = 0; at < count && !answered; at++) {
    socket.write(piece(at))
    await socket.drained()
  }
  return answer
}

/** A message of many mebibytes, of which the server learns only while it comes. */
const endlessFragments = (bytes: number) => (at: number) =>
  frame(at === 0 ? text : continuation, Buffer.alloc(bytes, 0x20), { fin: false })

/** Pings answered into a socket that nobody reads. */
const deafPings = async (target: Target, megabytes: number): Promise<string> => {
  using socket = await openFrames(target.url, target.alice.token)
  socket.raw.pause()
  const pings = Buffer.concat(Array.from({ length: 512 }, () => frame(ping, Buffer.alloc(125))))
  const end = performance.now() + 8000
  for (let sent = 0; sent < megabytes * mebibyte && !socket.raw.destroyed; sent += pings.length) {
    if (socket.write(pings)) continue
    const open = await Promise.race([
      socket.drained().then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 1000, false)),
    ])
    if (!open || performance.now() > end) return 'held up'
  }
  return socket.raw.destroyed ? 'closed' : 'answered all'
}

/** Whole messages, each as large as may be, faster than they are worked through; nobody reads the answers. */
const largeMessages = async (target: Target, count: number): Promise<string> => {
  using socket = await openFrames(target.url, target.alice.token)
  const large = frame(text, request(16 * mebibyte))
  const seen: string[] = []
  const reading = (async () => {
    for (let at = 0; at < count; at++) seen.push(await nextAnswer(socket))
  })()
  for (let at = 0; at < count; at++) {
    socket.write(large)
    await socket.drained()
  }
  await reading
  return [...new Set(seen)].join(', ')
}

const within = async (attack: Attack, limit: number, act: (target: Target) => Promise<void>): Promise<string> => {
  const target = await attack.shared()
  return flatness(await memoryRise(target.server.pid(), () => act(target)), limit)
}

export const wsLimits: Row = {
  name: 'ws-limits',
  title:
    'WebSocket: a message of 2^63-1 bytes, of 1 GB, endless and tiny fragments, floods of pings and of large messages',
  expected: '1009, 1008 or held up; memory flat',
  run: async (attack, attempt) => {
    const size = sizes[attack.size]
    await runFamily(attack, attempt, [
      ...[2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 53n].map((declared) => ({
        name: `a length of ${declared}`,
        expected: 'close 1009 or close 1002',
        bytes: [frame(text, 'x', { declared, width: 64 })],
      })),
      {
        name: 'a length of 1 GB',
        expected: 'close 1009',
        bytes: [frame(text, 'x', { declared: 2n ** 30n, width: 64 })],
      },
      {
        name: 'a length of 32 MiB and one byte',
        expected: 'close 1009',
        bytes: [frame(text, '', { declared: 32n * 2n ** 20n + 1n })],
      },
    ])
    const floods: [string, string, number, (target: Target) => Promise<string>][] = [
      [
        `${size} MB in fragments of 1 MB`,
        // What is still on its way to a closed connection resets it, and may overtake the reason.
        'close 1009 or closed',
        messageMegabytes,
        (target) => flood(target, size, endlessFragments(mebibyte)),
      ],
      [
        'a fragment of one byte, again and again',
        'close 1008 or closed',
        messageMegabytes,
        (target) => flood(target, 200_000, endlessFragments(1)),
      ],
      [
        'an empty fragment, again and again',
        'close 1008 or closed',
        messageMegabytes,
        (target) => flood(target, 200_000, endlessFragments(0)),
      ],
      ['pings whose pongs nobody reads', 'held up or closed', messageMegabytes, (target) => deafPings(target, size)],
      [
        'requests of 16 MB, one upon the other',
        'message pong',
        // One is read while another is worked through.
        2 * messageMegabytes,
        (target) => largeMessages(target, size / 8),
      ],
    ]
    for (const [name, expected, limit, act] of floods) {
      const memory = await within(attack, limit, async (target) => attempt(name, expected, await act(target)))
      attempt(`${name}: the server's memory`, 'flat', memory)
    }
    attempt('another user afterwards', 'served', await (await attack.shared()).serves())
  },
}
