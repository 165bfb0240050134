import type { AuditAction, UpMessage } from '@aicm/protocol'
import type { Act } from '../../audit/act.ts'
import { credentialOf, type Identity } from '../../auth/identity.ts'
import type { AppError } from '../../lib/app-error.ts'
import type { UserRecord } from '../../storage/user-store.ts'
import type { Services } from '../services.ts'

/** What happens on one WebSocket, as the audit log has it. */
export type SocketAudit = {
  /** Resolves when a crash of the server no longer undoes the entry. */
  done(message: UpMessage, told: { target: string; detail?: Act['detail'] }): Promise<void>
  /** `message` is undefined when it could not be read. */
  refused(message: UpMessage | undefined, refused: { error: AppError; requestId: string }): void
}

/** What is asked over the WebSocket is the same act as over HTTP. */
const actions: Partial<Record<UpMessage['type'], AuditAction>> = {
  execute: 'sessions.execute',
  interrupt: 'sessions.interrupt',
  approve: 'approvals.answer',
}

const targetOf = (message: UpMessage): string | undefined => {
  if ('sessionId' in message) return message.sessionId
  return message.type === 'approve' ? message.approvalId : undefined
}

export const createSocketAudit = (
  services: Services,
  { identity, user, address }: { identity: Identity; user: UserRecord; address: string | undefined },
): SocketAudit => {
  const via = 'websocket'
  const asker = { userId: user.id, username: user.username, address, credential: credentialOf(identity) }
  return {
    done: async (message, { target, detail }) => {
      const action = actions[message.type]
      if (action !== undefined) await services.audit.record({ ...asker, action, target, detail: { via, ...detail } })
    },
    refused: (message, { error: { code, status }, requestId }) => {
      const known = message === undefined ? undefined : actions[message.type]
      // Of what only reads it is told who may not.
      const action = known ?? (status === 401 || status === 403 || message === undefined ? 'ws.message' : undefined)
      if (action === undefined) return
      const target = message === undefined ? undefined : targetOf(message)
      const result = status >= 500 ? 'failed' : 'refused'
      void services.audit.record({ ...asker, ...{ action, target, code, requestId, result }, detail: { via } })
    },
  }
}
