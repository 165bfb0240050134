import { randomBytes } from 'node:crypto'

const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** `msg_01…`, `req_01…`, `toolu_01…`: unique, in the API's own form. */
export const newId = (kind: 'msg' | 'req' | 'toolu'): string =>
  `${kind}_01${Array.from(randomBytes(22), (byte) => alphabet[byte % alphabet.length]).join('')}`

/** What surrounds the content of an answer. */
export type Envelope = { id: string; model: string; inputTokens: number; maxTokens: number }

export type StopReason = 'end_turn' | 'tool_use' | 'max_tokens'

export const usage = (inputTokens: number, outputTokens: number) => ({
  input_tokens: inputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: outputTokens,
  service_tier: 'standard',
})

export const messageOf = ({ id, model, inputTokens }: Envelope) => ({
  id,
  type: 'message',
  role: 'assistant',
  model,
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: usage(inputTokens, 1),
})

/** About four characters make a token. */
export const countTokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4))
