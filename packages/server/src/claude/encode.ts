import type { ContentBlock } from '@aicm/protocol'
import { unreachable } from '../lib/unreachable.ts'
import type { PermissionAnswer } from '../storage/session-store.ts'
import { initializeRequestId, pingPrefix } from './decode.ts'

/** What the server tells claude. */
export type AgentCommand =
  | { kind: 'initialize' }
  | { kind: 'prompt'; turnId: string; content: ContentBlock[] }
  | { kind: 'interrupt' }
  | { kind: 'answer'; requestId: string; answer: PermissionAnswer }
  | { kind: 'refuse'; requestId: string; message: string }
  | { kind: 'set-model'; model: string }
  | { kind: 'set-permission-mode'; mode: string }
  /** Whether it is alive: any answer is a `pong` with the same id. To be asked while it rests; a turn shows life by its output. */
  | { kind: 'ping'; requestId: string }

const line = (value: unknown): string => `${JSON.stringify(value)}\n`

const control = (requestId: string, request: Record<string, unknown>): string =>
  line({ type: 'control_request', request_id: requestId, request })

const reply = (response: Record<string, unknown>): string => line({ type: 'control_response', response })

/** One line for claude's input. A line that is not JSON would end it: nothing else may ever be written there. */
export const encode = (command: AgentCommand): string => {
  switch (command.kind) {
    case 'initialize':
      return control(initializeRequestId, { subtype: 'initialize' })
    case 'prompt':
      return line({
        type: 'user',
        uuid: command.turnId,
        message: { role: 'user', content: command.content },
        parent_tool_use_id: null,
        session_id: '',
      })
    case 'interrupt':
      return control(`aicm-interrupt-${Date.now()}`, { subtype: 'interrupt' })
    case 'answer':
      return reply({ subtype: 'success', request_id: command.requestId, response: command.answer })
    case 'refuse':
      return reply({ subtype: 'error', request_id: command.requestId, error: command.message })
    case 'set-model':
      return control('aicm-set-model', { subtype: 'set_model', model: command.model })
    case 'set-permission-mode':
      return control('aicm-set-permission-mode', { subtype: 'set_permission_mode', mode: command.mode })
    case 'ping':
      // What it can answer from memory. A version that does not know it says so, which is an answer too.
      return control(`${pingPrefix}${command.requestId}`, { subtype: 'get_session_cost' })
    default:
      return unreachable(command)
  }
}
