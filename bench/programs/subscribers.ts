// Many WebSocket clients in one process, the same for both sides of a comparison. Its argument is a `Plan` in JSON. A line on
// stdin begins a round; when all have seen its end it prints `done`, and, when what they got was checked, `checked <sha256 of
// the text>`. Only the first client's bytes are checked where all get the same ones.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { WebSocket } from 'ws'
import { textOfFrames } from '../lib/frames.ts'
import { createEndMarker } from '../lib/marker.ts'
import { textOfLines } from '../lib/stream-json.ts'

export type Plan = {
  url: string
  count: number
  headers: Record<string, string>
  /** Sent by each after it has connected. */
  subscribe?: string
  /** In the last bytes of a round. */
  end: string
  content: 'frames' | 'lines'
}

/** `kept` holds what came, piece behind piece: memory that is used again in each round, or the clock would count page faults. */
type Client = { kept: Buffer; pieces: number[]; bytes: number; ended: boolean }

const plan: Plan = JSON.parse(process.argv[2] ?? '')
const clients: Client[] = []
let open = 0
const rounds: (() => void)[] = []

const fail = (text: string): never => {
  process.stderr.write(`${text}\n`)
  process.exit(1)
}

const keep = (client: Client, chunk: Buffer): void => {
  const before = client.pieces.at(-1) ?? 0
  const end = before + chunk.length
  if (end > client.kept.length) client.kept = Buffer.concat([client.kept], 2 * end)
  client.kept.set(chunk, before)
  client.pieces.push(end)
}

const received = ({ kept, pieces }: Client): Buffer[] =>
  pieces.map((end, index) => kept.subarray(pieces[index - 1] ?? 0, end))

const check = (): string => {
  const texts =
    plan.content === 'frames'
      ? clients.map((client) => textOfFrames(received(client)))
      : [textOfLines(clients.slice(0, 1).flatMap(received))]
  if (new Set(texts).size !== 1) fail('The clients were told different texts.')
  if (plan.content === 'lines' && new Set(clients.map((client) => client.bytes)).size !== 1)
    fail('The clients were sent different numbers of bytes.')
  return createHash('sha256')
    .update(texts[0] ?? '')
    .digest('hex')
}

const connect = async (index: number): Promise<void> => {
  const client: Client = { kept: Buffer.alloc(0), pieces: [], bytes: 0, ended: true }
  clients.push(client)
  let hasEnd = createEndMarker(plan.end)
  const socket = new WebSocket(plan.url, { headers: plan.headers, perMessageDeflate: false })
  socket.on('message', (chunk: Buffer) => {
    if (client.ended) return
    client.bytes += chunk.length
    if (plan.content === 'frames' || index === 0) keep(client, chunk)
    if (!hasEnd(chunk)) return
    client.ended = true
    if (--open > 0) return
    process.stdout.write('done\n')
    process.stdout.write(`checked ${check()}\n`)
  })
  socket.on('close', () => fail('A connection was closed.'))
  await once(socket, 'open')
  if (plan.subscribe !== undefined) socket.send(plan.subscribe)
  rounds.push(() => {
    hasEnd = createEndMarker(plan.end)
    Object.assign(client, { pieces: [], bytes: 0, ended: false })
  })
}

for (let index = 0; index < plan.count; index++) await connect(index)
process.stdin.on('data', () => {
  open = clients.length
  for (const begin of rounds) begin()
  process.stdout.write('begun\n')
})
process.stdout.write('connected\n')
