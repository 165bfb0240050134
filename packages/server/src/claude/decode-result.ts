import { readExceeded, readLimitedUntil } from '@aicm/broker'
import type { FailureCode, Usage } from '@aicm/protocol'
import type { AgentOutput, TurnResult } from './output.ts'
import { fields, list, number, text, texts, type Fields } from './wire.ts'

const count = (value: unknown): number => Math.max(0, Math.round(number(value) ?? 0))

const usageOf = (usage: Fields): Usage => ({
  inputTokens: count(usage['input_tokens']),
  outputTokens: count(usage['output_tokens']),
  cacheReadTokens: count(usage['cache_read_input_tokens']),
  cacheWriteTokens: count(usage['cache_creation_input_tokens']),
})

/** `subtype` is "success" even when the API refused: `is_error` and `terminal_reason` tell. */
export const decodeResult = (line: Fields): TurnResult => {
  const subtype = text(line['subtype']) ?? 'success'
  const reason = text(line['terminal_reason']) ?? subtype
  const failed = line['is_error'] === true || subtype.startsWith('error')
  const interrupted = reason.startsWith('aborted')
  // What claude says of an interrupt are notes for its own developers.
  const errors = interrupted ? undefined : texts(line['errors']).join('\n') || undefined
  return {
    outcome: interrupted ? 'interrupted' : failed ? 'error' : 'success',
    reason: subtype === 'error_max_turns' ? 'max_turns' : reason,
    text: text(line['result']) ?? errors,
    usage: usageOf(fields(line['usage'])),
    totalCostUsd: number(line['total_cost_usd']) ?? 0,
    durationMs: count(line['duration_ms']),
    apiDurationMs: count(line['duration_api_ms']),
    numTurns: count(line['num_turns']),
  }
}

const codes = new Map<number, FailureCode>([
  [401, 'auth_required'],
  [403, 'auth_required'],
  [429, 'rate_limited'],
  [529, 'overloaded'],
])

const hints: Partial<Record<FailureCode, string>> = {
  auth_required:
    'Replace your credential for the model API (aicm credentials), or have the operator look at the shared one.',
  budget_exceeded: 'See GET /v1/budgets (aicm budgets). An administrator can raise it.',
  rate_limited: 'The model API limits this credential. Send the prompt again later.',
  overloaded: 'The model API is overloaded. Send the prompt again later.',
  prompt_too_long: 'Start a new session, or send less.',
}

/** claude tells of an API error in the model's place: it is no answer and must not look like one. */
export const decodeApiError = (line: Fields): AgentOutput[] => {
  const content = list(fields(line['message'])['content'])
  const message = content.map((item) => text(fields(item)['text']) ?? '').join('\n') || 'The model API refused.'
  const status = number(line['api_error_status'])
  const told = (code: FailureCode, detail: object): AgentOutput => ({
    kind: 'message',
    draft: { type: 'error', code, message, hint: hints[code], detail },
  })
  // Our broker's own words: nobody else says them so.
  const exceeded = readExceeded(message)
  if (exceeded !== undefined) return [told('budget_exceeded', exceeded)]
  const until = readLimitedUntil(message)
  if (until !== undefined)
    return [told('rate_limited', { status, resetsAt: new Date(until).toISOString() }), { kind: 'limited', until }]
  const code = /^prompt is too long/i.test(message) ? 'prompt_too_long' : (codes.get(status ?? 0) ?? 'api_error')
  return [told(code, { status, type: text(line['api_error_type']) })]
}
