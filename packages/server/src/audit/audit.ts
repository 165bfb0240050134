import { formatAuditHead, type AuditHead } from '@aicm/protocol'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { AuditStore } from '../storage/audit-store.ts'
import type { KeyValueStore } from '../storage/key-value-store.ts'
import { draftOf, gapOf, type Act } from './act.ts'
import { createSummary, summaryLimits } from './summary.ts'
import { createWriter } from './writer.ts'

export type Audit = AsyncDisposable & {
  /**
   * Writes an act down. Resolves when a crash of the server can no longer undo that; never rejects. Of what is repeated and
   * changes nothing most is only counted (see `createSummary`): that is not worth waiting for.
   */
  record(act: Act): Promise<void>
  /** Where the log ended when that was last noted outside of the database. */
  anchor(): Promise<AuditHead | undefined>
}

const anchorKey = 'audit/head'
/** How often the end of the log is noted outside of the database, and how often in the server's log. */
const anchorMs = 5000
const tellMs = 60_000

const readAnchor = async (kv: KeyValueStore): Promise<AuditHead | undefined> => {
  const value = await kv.get(anchorKey)
  return typeof value === 'object' && value !== null && 'seq' in value && 'hash' in value
    ? { seq: Number(value['seq']), hash: String(value['hash']) }
    : undefined
}

/** Undefined where the log has what was noted. */
const findGap = async (store: AuditStore, anchor: AuditHead, head: AuditHead): Promise<Act | undefined> => {
  const [noted] = anchor.seq === 0 ? [anchor] : await store.read({ after: anchor.seq - 1, limit: 1 })
  return noted?.seq === anchor.seq && noted.hash === anchor.hash ? undefined : gapOf(anchor, head)
}

/** The audit log of a server: one writer, and its head noted elsewhere now and then. */
export const openAudit = async ({
  store,
  kv,
  clock,
  log,
}: {
  store: AuditStore
  kv: KeyValueStore
  clock: Clock
  log: Log
}): Promise<Audit> => {
  const head = await store.readHead()
  let anchored = await readAnchor(kv)
  const gap = anchored === undefined ? undefined : await findGap(store, anchored, head)
  const writer = createWriter(store, head, { now: clock.now, log })
  const summary = createSummary(summaryLimits)

  const write = (act: Act): Promise<void> => writer.write(draftOf(act, clock.now()))
  const record = async (act: Act): Promise<void> => {
    if (summary.take(act, clock.now())) await write(act)
  }

  const anchor = async (): Promise<void> => {
    const durable = writer.durable()
    if (durable.seq === anchored?.seq && durable.hash === anchored.hash) return
    await kv.put(anchorKey, durable)
    anchored = durable
  }
  const noteAnchor = (): Promise<void> =>
    anchor().catch((error: unknown) => log.error({ err: error }, 'the end of the audit log could not be noted'))

  let told: AuditHead | undefined
  const tellAnchor = (): void => {
    if (anchored !== undefined && anchored !== told)
      log.info({ auditHead: formatAuditHead(anchored) }, 'the audit log ends here')
    told = anchored
  }

  const timers = [
    setInterval(() => {
      for (const act of summary.due(clock.now())) void write(act)
      void noteAnchor()
    }, anchorMs).unref(),
    setInterval(tellAnchor, tellMs).unref(),
  ]

  if (gap !== undefined) {
    log.error(gap, 'the audit log does not hold what it held: see docs/audit.md')
    await write(gap)
    await noteAnchor()
  }
  return {
    record,
    anchor: () => readAnchor(kv),
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearInterval(timer)
      for (const act of summary.due(Infinity)) void write(act)
      await writer.drained()
      await noteAnchor()
      tellAnchor()
    },
  }
}
