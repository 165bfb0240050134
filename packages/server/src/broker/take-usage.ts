import type { BrokerControl, BrokerStatus } from '@aicm/broker'
import type { Log } from '../lib/log.ts'
import type { SessionRecord } from '../storage/session-store.ts'
import type { UsageStore } from '../storage/usage-store.ts'

/** What claude has reported and what the ledger says may differ by so much before it is worth a line in the log. */
const tolerance = { usd: 0.01, share: 0.02 }

/**
 * Takes the broker's ledger into the database: from where the database ends, each entry once, however often either of the two
 * dies. Whoever calls while it runs waits for the same run.
 */
export const createUsageTaker = (parts: {
  usage: UsageStore
  control: Pick<BrokerControl, 'ledger' | 'forget'>
  peek(sessionId: string): Promise<SessionRecord | undefined>
  /** Called with each comparison of a session's cost as claude and as the ledger tell it. */
  onCompared(agrees: boolean): void
  log: Log
}): ((status: Pick<BrokerStatus, 'ledger'>) => Promise<void>) => {
  const { usage, control, log } = parts
  /** How far each ledger is stored: asked once, so that an idle server does not read its database. */
  const stored = new Map<string, number>()

  /** Sessions that have spent something since they were compared: claude tells of a turn when it ends. */
  const uncompared = new Set<string>()

  const compare = async (sessionId: string): Promise<void> => {
    const record = await parts.peek(sessionId)
    if (record !== undefined && record.state.turn !== null) return
    uncompared.delete(sessionId)
    if (record === undefined) return
    const [sum] = await usage.listSums({ from: 0, to: Number.MAX_SAFE_INTEGER, sessionId }, 'session')
    const [ledgerUsd, claudeUsd] = [sum?.costUsd ?? 0, record.state.costUsd]
    const difference = Math.abs(ledgerUsd - claudeUsd)
    const agrees = difference <= tolerance.usd || difference <= ledgerUsd * tolerance.share
    parts.onCompared(agrees)
    if (!agrees)
      log.warn({ sessionId, ledgerUsd, claudeUsd }, 'what claude reports of its cost differs from the ledger')
  }

  const take = async ({ ledger: { id, lastSeq } }: Pick<BrokerStatus, 'ledger'>): Promise<void> => {
    let after = stored.get(id) ?? (lastSeq === 0 ? 0 : await usage.getLastSeq(id))
    const before = after
    while (after < lastSeq) {
      const page = await control.ledger(after)
      const last = page.entries.at(-1)
      if (page.id !== id || last === undefined) break
      await usage.add(page.entries.map((entry) => ({ ledger: id, ...entry })))
      for (const { sessionId } of page.entries) uncompared.add(sessionId)
      after = last.seq
    }
    stored.set(id, after)
    if (after > before) await control.forget(after)
    for (const sessionId of uncompared) await compare(sessionId)
  }

  let taking: Promise<void> | undefined
  return (status) => (taking ??= take(status).finally(() => (taking = undefined)))
}
