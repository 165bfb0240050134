import { setImmediate } from 'node:timers/promises'
import { createChainCheck, emptyAudit, type AuditBreak, type AuditCheck, type AuditHead } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import type { AuditStore } from '../storage/audit-store.ts'
import { sha256 } from './sha256.ts'

/** Entries at once: the event loop stands still for them. */
const chunk = 500

const headAt = async (store: AuditStore, seq: number): Promise<AuditHead> => {
  if (seq === 0) return emptyAudit
  const [entry] = await store.read({ after: seq - 1, limit: 1 })
  if (entry?.seq !== seq) throw new AppError('invalid_cursor', `There is no audit entry ${seq}.`)
  return { seq, hash: entry.hash }
}

/** Checks up to `limit` entries behind `after`. */
export const checkChain = async (
  store: AuditStore,
  { after, limit }: { after: number; limit: number },
): Promise<AuditCheck> => {
  const check = createChainCheck(sha256, await headAt(store, after))
  let broken: AuditBreak | undefined
  let left = limit
  let done = false
  while (!done && left > 0 && broken === undefined) {
    const entries = await store.read({ after: check.head().seq, limit: Math.min(chunk, left) })
    for (const entry of entries) {
      broken = check.take(entry)
      if (broken !== undefined) break
    }
    done = entries.length < Math.min(chunk, left)
    left -= entries.length
    await setImmediate()
  }
  const head = check.head()
  return { checked: head.seq - after, head, broken: broken ?? null, done: done || broken !== undefined }
}

/** Every place where entries are missing or are not those that were written: after a damaged log was put together again. */
export const findBreaks = async (store: AuditStore): Promise<AuditBreak[]> => {
  const breaks: AuditBreak[] = []
  let after = 0
  while (true) {
    const { broken, head } = await checkChain(store, { after, limit: Infinity })
    if (broken === null) return breaks
    breaks.push(broken)
    const [next] = await store.read({ after: head.seq, limit: 1 })
    if (next === undefined) return breaks
    after = next.seq
  }
}
