import type { Session } from '@aicm/protocol'
import { isoTime } from '../lib/clock.ts'
import type { SessionRecord } from '../storage/session-store.ts'

/** A record is never changed in place, so its view is made once. */
const views = new WeakMap<SessionRecord, Session>()

/** A session as clients see it. */
export const viewSession = (record: SessionRecord): Session => {
  const known = views.get(record)
  if (known !== undefined) return known
  const view = makeView(record)
  views.set(record, view)
  return view
}

const makeView = (record: SessionRecord): Session => {
  const { state } = record
  return {
    id: record.id,
    name: record.name,
    workspaceId: record.workspaceId,
    model: record.model,
    permissionMode: record.permissionMode,
    systemPrompt: record.systemPrompt,
    maxTurns: record.maxTurns,
    status: state.status,
    reason: state.reason,
    process: state.process,
    generation: state.generation,
    turnId: state.turn?.id ?? null,
    queued: state.queue.length,
    awaiting: state.approvals.filter((approval) => approval.answer === null).length,
    lastSeq: record.lastSeq,
    turns: state.turns,
    usage: state.usage,
    costUsd: state.costUsd,
    budget: state.budget ?? null,
    waitsUntil: state.parkedUntil === undefined ? null : isoTime(state.parkedUntil),
    createdAt: isoTime(record.createdAt),
    updatedAt: isoTime(record.updatedAt),
  }
}
