import type { UpMessage } from '@aicm/protocol'
import type { LimitClass } from '../../config/limits.ts'
import type { Counted, RequestLimits } from '../request-limits.ts'

const classes: Readonly<Record<UpMessage['type'], LimitClass>> = {
  subscribe: 'stream',
  unsubscribe: 'read',
  execute: 'execute',
  interrupt: 'write',
  approve: 'write',
  ping: 'read',
}

const classOf = (value: unknown): LimitClass => {
  const type = typeof value === 'object' && value !== null && 'type' in value ? String(value.type) : ''
  return Object.hasOwn(classes, type) ? classes[type as UpMessage['type']] : 'read'
}

/** Messages count as requests do. */
export type MessageLimits = {
  /** Rejects with too_many_requests. What could not be read is undefined, and counts too. */
  take(value: unknown): Promise<void>
  /** It was refused. True when whoever sends has been told so often that nobody listens any more. */
  refused(code: string): boolean
}

export const createMessageLimits = (limits: RequestLimits, caller: Counted, address: string): MessageLimits => ({
  take: async (value) => void (await limits.ofCaller(caller, classOf(value))),
  refused: (code) => {
    if (code !== 'too_many_requests') return false
    limits.failed(address, caller)
    return limits.isBlocked(caller)
  },
})
