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
  texts.set(view, null)
  return view
}

/** Null: not asked for yet. */
const texts = new WeakMap<object, string | null>()

/** JSON of a session's view, made once; undefined of anything else. */
export const viewText = (view: object): string | undefined => {
  const known = texts.get(view)
  if (known !== null) return known
  const text = JSON.stringify(view)
  texts.set(view, text)
  return text
}

const makeView = (record: SessionRecord): Session => {
  const { state } = record
  return {
    id: record.id,
    name: record.name,
    workspaceId: record.workspaceId,
    // Whoever sees another's is told whose it is by the gateway.
    owner: null,
    model: record.model,
    permissionMode: record.permissionMode,
    systemPrompt: record.systemPrompt,
    maxTurns: record.maxTurns,
    status: state.status,
    reason: state.reason,
    process: state.process === 'loading' ? 'starting' : state.process,
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
