import { auditHash, type AuditEntry, type AuditHead } from '@aicm/protocol'
import type { Log } from '../lib/log.ts'
import { createMailbox } from '../lib/mailbox.ts'
import type { AuditStore } from '../storage/audit-store.ts'
import { draftOf, gapOf, type Act, type Draft } from './act.ts'
import { sha256 } from './sha256.ts'

/** The one that chains entries and gives them to the store, in the order in which they came. */
export type Writer = {
  /**
   * Resolves when a crash of the server can no longer undo the entry, or when the storage does not take it: then it is kept here
   * and tried again. Never rejects: the act is done already.
   */
  write(draft: Draft): Promise<void>
  /** The last entry that survives a power cut. */
  durable(): AuditHead
  /** Tries once more to write what waits, and waits until it is durable. */
  drained(): Promise<void>
}

type Waiting = { draft: Draft; settle(): void }
type Chained = Waiting & { entry: AuditEntry }

/** Entries that are kept while the storage fails; more are only counted, and told in the server's log. */
const maxWaiting = 10_000
const retryMs = 1000
/** In one transaction: the event loop stands still for them. */
const chunk = 500

const chain = (head: AuditHead, waiting: Waiting[]): Chained[] => {
  let last = head
  return waiting.map((each) => {
    const unhashed = { ...each.draft, seq: last.seq + 1 }
    const entry = { ...unhashed, hash: auditHash(sha256, last.hash, unhashed) }
    last = entry
    return { ...each, entry }
  })
}

const headOf = ({ seq, hash }: AuditHead): AuditHead => ({ seq, hash })
const isSame = (a: AuditHead, b: AuditHead): boolean => a.seq === b.seq && a.hash === b.hash

export const createWriter = (
  store: AuditStore,
  begin: AuditHead,
  { now, log }: { now: () => number; log: Log },
): Writer => {
  /** Where the next entry goes; undefined while nobody knows what the store has. */
  let head: AuditHead | undefined = begin
  let durable = begin
  /** Where the store ended after the last failure. */
  let seen = begin
  const waiting: Waiting[] = []
  /** Given to the store, and not durable yet; in their order. */
  let given: Chained[] = []
  let lost = 0
  let retry: NodeJS.Timeout | undefined
  const appends = new Set<Promise<void>>()

  const own = (act: Act): Waiting => ({ draft: draftOf(act, now()), settle: () => undefined })

  const fail = (error: unknown): void => {
    if (head !== undefined) log.error({ err: error }, 'the audit log cannot be written: entries wait')
    head = undefined
    for (const { settle } of [...given, ...waiting]) settle()
    retry ??= setTimeout(() => {
      retry = undefined
      mailbox.post(undefined)
    }, retryMs).unref()
  }

  /** After a failure: what the store has of what it was given is not given again. */
  const recover = async (): Promise<AuditHead> => {
    await Promise.allSettled(appends)
    const stored = await store.readHead()
    const at = given.findIndex(({ entry }) => isSame(entry, stored))
    waiting.unshift(...given.slice(at + 1))
    if (at < 0 && !isSame(stored, durable) && !isSame(stored, seen)) waiting.unshift(own(gapOf(durable, stored)))
    given = []
    if (lost > 0) waiting.push(own({ action: 'audit.lost', result: 'failed', detail: { acts: lost } }))
    lost = 0
    return (seen = stored)
  }

  const append = (after: AuditHead, chained: Chained[]): Promise<void> =>
    new Promise((resolve, reject) => {
      const entries = chained.map(({ entry }) => entry)
      const appended = store
        .append({ after, entries }, resolve)
        .then(() => {
          durable = headOf(chained.at(-1)!.entry)
          given = given.filter(({ entry }) => entry.seq > durable.seq)
          resolve()
        })
        .catch((error: unknown) => {
          // Some were written and could not be synced: nobody waits for them any more.
          fail(error)
          reject(error)
        })
        .finally(() => appends.delete(appended))
      appends.add(appended)
    })

  const consume = async (): Promise<void> => {
    try {
      head ??= await recover()
      while (waiting.length > 0) {
        const after: AuditHead = head
        const chained = chain(after, waiting.splice(0, chunk))
        given.push(...chained)
        head = headOf(chained.at(-1)!.entry)
        await append(after, chained)
        for (const { settle } of chained) settle()
      }
    } catch (error) {
      fail(error)
    }
  }
  const mailbox = createMailbox<undefined>(consume)

  return {
    write: (draft) => {
      // Whatever becomes of it, it is written down somewhere.
      if (head === undefined) log.error({ audit: draft }, 'an audit entry waits for the storage')
      if (waiting.length >= maxWaiting) {
        lost++
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        waiting.push({ draft, settle: resolve })
        if (head === undefined) resolve()
        else mailbox.post(undefined)
      })
    },
    durable: () => durable,
    drained: async () => {
      clearTimeout(retry)
      mailbox.post(undefined)
      await mailbox.drained()
      await Promise.allSettled(appends)
      clearTimeout(retry)
      for (const { draft } of [...given, ...waiting])
        log.error({ audit: draft }, 'an audit entry could not be written, and is here only')
    },
  }
}
