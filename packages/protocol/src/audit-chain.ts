import type { AuditEntry, AuditHead } from './audit-entry.ts'

/** Of UTF-8 text, in lower-case hex. Passed in: this package runs where there is no node:crypto. */
export type Sha256 = (text: string) => string

/** What comes before the first entry. */
export const emptyAudit: AuditHead = { seq: 0, hash: '0'.repeat(64) }

/** JSON with its keys in order and without white space, so that the same value is the same text everywhere. */
const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const pairs = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${pairs.map(([key, part]) => `${JSON.stringify(key)}:${canonicalJson(part)}`).join(',')}}`
}

export type Unhashed = Omit<AuditEntry, 'hash'>

const formOf = (entry: Unhashed): string =>
  canonicalJson([
    entry.seq,
    entry.time,
    entry.userId,
    entry.username,
    entry.action,
    entry.target,
    entry.result,
    entry.code,
    entry.address,
    entry.requestId,
    entry.credential,
    entry.detail,
  ])

export const auditHash = (sha256: Sha256, previous: string, entry: Unhashed): string => sha256(previous + formOf(entry))

/** `12:ab34…`: how people write a head down. */
export const formatAuditHead = ({ seq, hash }: AuditHead): string => `${seq}:${hash}`

/** Undefined when the text is none. */
export const parseAuditHead = (text: string): AuditHead | undefined => {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? []
  return hash === undefined ? undefined : { seq: Number(seq), hash }
}

/** The first place where a log is not what was written. */
export type AuditBreak = { seq: number; reason: string }

export type ChainCheck = {
  /** Takes the next entry; undefined as long as the chain holds. */
  take(entry: AuditEntry): AuditBreak | undefined
  /** The last entry that was good. */
  head(): AuditHead
}

/** Checks a log in its order, from behind `from`, whose hash is taken as it is. A gap that the log itself tells of is one. */
export const createChainCheck = (sha256: Sha256, from: AuditHead = emptyAudit): ChainCheck => {
  let head = from
  return {
    take: (entry) => {
      const seq = head.seq + 1
      if (entry.seq !== seq) return { seq, reason: `entry ${seq} is missing: ${entry.seq} is in its place` }
      if (auditHash(sha256, head.hash, entry) !== entry.hash)
        return { seq, reason: `entry ${seq} is not what was written behind entry ${head.seq}` }
      if (entry.action === 'audit.gap')
        return { seq, reason: `entry ${seq} says that the server did not find the log as it had left it` }
      head = { seq, hash: entry.hash }
      return undefined
    },
    head: () => head,
  }
}

/** What is wrong with a log that was read to its end and should hold `known`; `found` is its hash at that place. */
export const findCut = (end: AuditHead, known: AuditHead, found: string | undefined): AuditBreak | undefined => {
  if (known.seq > end.seq)
    return {
      seq: end.seq + 1,
      reason: `the log ends at entry ${end.seq}, and it had ${known.seq}: its end was cut off`,
    }
  if (found === known.hash) return undefined
  return { seq: known.seq, reason: `entry ${known.seq} has another hash than was noted: the log was written anew` }
}
