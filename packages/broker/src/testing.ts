import { request, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { openBroker } from './broker.ts'
import { brokerControl } from './client.ts'
import type { BrokerConfig, Secret } from './config.ts'
import { socketPaths } from './paths.ts'
import { sessionTokens } from './session-tokens.ts'

/** One shared credential; with `userId` it is that user's own. */
export const live = (
  upstream: string,
  secret: Secret = { kind: 'none' },
  more: Partial<BrokerConfig> & { userId?: string; id?: string } = {},
): BrokerConfig => {
  const { userId = null, id = 'crd_1', ...rest } = more
  return { mode: 'live', credentials: [{ id, userId, upstream, ...secret }], ...rest }
}

/** A broker in this process, in a folder of its own. */
export const testBroker = async (config?: BrokerConfig, options: { drainMs?: number; watchMs?: number } = {}) => {
  const dir = join(mkdtempSync(join(tmpdir(), 'aicm-broker-')), 'broker')
  const broker = await openBroker({ dir, ...options })
  if (broker === null) throw new Error('there was a broker already')
  const control = brokerControl(dir)
  if (config !== undefined) await control.configure(config)
  const token = sessionTokens(dir).give({ sessionId: 'ses_1', userId: 'usr_1' })
  return { dir, broker, control, token, socket: socketPaths(dir).api, [Symbol.asyncDispose]: () => broker.stop() }
}

type Sent = { method?: string; path?: string; headers?: OutgoingHttpHeaders; body?: string }

/** Resolves at the answer's headers. */
export const open = (
  socketPath: string,
  { method = 'POST', path = '/v1/messages', headers = {}, body }: Sent,
): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    request({ socketPath, method, path, headers, agent: false }, resolve).on('error', reject).end(body)
  })

export const ask = async (
  socketPath: string,
  sent: Sent,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> => {
  const answer = await open(socketPath, sent)
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: await text(answer) }
}

/** A request as small as the API takes it. */
export const messages = (prompt: string, more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    model: 'claude-test',
    max_tokens: 100_000,
    stream: true,
    tools: [{ name: 'Bash' }, { name: 'Write' }, { name: 'Read' }],
    messages: [{ role: 'user', content: prompt }],
    ...more,
  })

export type StreamEvent = {
  type: string
  index?: number
  delta?: Record<string, unknown>
  content_block?: Record<string, unknown>
}

/** The events of a stream, each checked to carry its type twice, as the API sends it. */
export const eventsOf = (body: string): StreamEvent[] =>
  body
    .split('\n\n')
    .filter((part) => part !== '')
    .map((part) => {
      const [, type, data] = /^event: (.+)\ndata: (.+)$/.exec(part) ?? []
      const event: StreamEvent = JSON.parse(data ?? 'null')
      if (event?.type !== type) throw new Error(`not an event: ${part}`)
      return event
    })

export const textOf = (events: StreamEvent[]): string =>
  events.map(({ delta }) => (delta?.type === 'text_delta' ? String(delta.text) : '')).join('')
