import type { AgentOutput, Draft } from './output.ts'
import { number, text, texts, type Fields } from './wire.ts'

/** What is said with every turn or with every line and tells a user nothing. */
const silent = new Set([
  'hook_started',
  'hook_response',
  'background_tasks_changed',
  'files_persisted',
  'thinking_tokens',
])

const retryText = (line: Fields): string => {
  const seconds = ((number(line['retry_delay_ms']) ?? 0) / 1000).toFixed(1)
  return `The model API answered ${number(line['error_status']) ?? 'with an error'}; retry ${number(line['attempt']) ?? '?'} of ${number(line['max_retries']) ?? '?'} in ${seconds} s.`
}

const progress = (kind: string, message: string, data?: unknown): AgentOutput[] => [
  { kind: 'message', draft: { type: 'progress', kind, text: message, data } },
]

/** It becomes an argument and part of a path: nothing else may pass for it. */
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export const decodeSystem = (line: Fields): AgentOutput[] => {
  const subtype = text(line['subtype']) ?? 'unknown'
  switch (subtype) {
    case 'init': {
      const claudeSessionId = text(line['session_id'])
      if (claudeSessionId === undefined || !uuid.test(claudeSessionId)) return [{ kind: 'message', draft: kept(line) }]
      return [
        {
          kind: 'conversation',
          claudeSessionId,
          model: text(line['model']),
          permissionMode: text(line['permissionMode']),
          claudeVersion: text(line['claude_code_version']),
          cwd: text(line['cwd']),
          tools: texts(line['tools']),
        },
      ]
    }
    case 'session_state_changed':
      return line['state'] === 'idle' ? [{ kind: 'idle' }] : []
    case 'api_retry':
      return progress('api_retry', retryText(line), {
        attempt: line['attempt'],
        maxRetries: line['max_retries'],
        delayMs: line['retry_delay_ms'],
        status: line['error_status'],
      })
    case 'status':
      return line['status'] === 'compacting' ? progress('compacting', 'The conversation is being compacted.') : []
    case 'compact_boundary':
      return progress('compacted', 'The conversation was compacted.', line['compact_metadata'])
    case 'task_started':
    case 'task_progress':
    case 'task_notification':
      return progress(subtype, text(line['description']) ?? text(line['summary']) ?? subtype, line)
    default:
      return silent.has(subtype) ? [] : [{ kind: 'message', draft: kept(line) }]
  }
}

/** What this version does not know is kept as it came. */
export const kept = (line: Fields): Draft => ({
  type: 'system',
  subtype: text(line['subtype']) ?? text(line['type']) ?? 'unknown',
  data: line,
})
