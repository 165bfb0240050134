import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fdatasync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { DraftEntry, UsageEntry } from './entry.ts'
import { addTo, keysOf, prune, type Sum, type Sums } from './sums.ts'

/**
 * What was used, in files of the broker's own: append-only lines with a sequence, in segments that each begin with all sums so
 * far, so that a start reads one segment only. A call is written down when its answer begins, with what is known then, and again
 * when it ends: a broker that is killed finds at its next start what it was answering, and counts it.
 */
export type Ledger = {
  /** Another one for another folder: entries are the same when both agree. */
  id: string
  sums: Sums
  lastSeq(): number
  /** Why it cannot be written at the moment. What was not written is kept in memory and tried again. */
  error(): string | null
  begin(call: string, entry: DraftEntry): void
  end(call: string, entry: DraftEntry): void
  read(after: number, limit: number): UsageEntry[]
  /** They are elsewhere too: segments with nothing newer go. */
  forget(upTo: number): void
  close(): void
}

type Line =
  | { sums: [string, Sum][]; seq: number }
  | { begin: string; entry: DraftEntry }
  | { end: string; entry: UsageEntry }

const segmentBytes = 4 * 1024 * 1024
/** Writes gather for so long before they are synced. */
const syncAfterMs = 50
/** Of lines that cannot be written so many are kept. */
const mostPending = 20_000

const segmentName = (seq: number): string => `${String(seq).padStart(15, '0')}.ndjson`

const readLines = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line): Line[] => {
      try {
        return line === '' ? [] : [JSON.parse(line)]
      } catch {
        // Torn by a full disk or a power cut.
        return []
      }
    })

const ledgerId = (dir: string): string => {
  const path = join(dir, 'id')
  try {
    return readFileSync(path, 'utf8')
  } catch {
    const id = randomUUID()
    writeFileSync(path, id, { mode: 0o600, flush: true })
    return id
  }
}

/** Opens the ledger of this folder; only one at a time may. `keeps`: sessions whose sum is never forgotten. */
export const openLedger = (
  dir: string,
  { keeps = () => false, bytes = segmentBytes }: { keeps?: (sessionId: string) => boolean; bytes?: number } = {},
): Ledger => {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const id = ledgerId(dir)
  const sums: Sums = new Map()
  const open = new Map<string, DraftEntry>()
  let pending: string[] = []
  let file: number | undefined
  let size = 0
  let seq = 0
  let failure: string | null = null
  let syncing: NodeJS.Timeout | undefined

  const segments = (): string[] =>
    readdirSync(dir)
      .filter((name) => name.endsWith('.ndjson'))
      .sort()

  const sync = (): void => {
    syncing ??= setTimeout(() => {
      syncing = undefined
      if (file !== undefined) fdatasync(file, () => undefined)
    }, syncAfterMs).unref()
  }

  const startSegment = (): void => {
    const path = join(dir, segmentName(seq + 1))
    // 'a': after a crash right here it is there already, and may hold a torn line.
    const next = openSync(path, 'a', 0o600)
    prune(sums, Date.now(), keeps)
    const text = `\n${JSON.stringify({ sums: [...sums], seq } satisfies Line)}\n${[...open]
      .map(([begin, entry]) => `${JSON.stringify({ begin, entry } satisfies Line)}\n`)
      .join('')}`
    writeSync(next, text)
    if (file !== undefined) closeSync(file)
    file = next
    size = text.length
  }

  /** Must not throw: a full disk may cost a line of the ledger its durability, never a call its answer. */
  const write = (line: Line): void => {
    pending.push(`${JSON.stringify(line)}\n`)
    try {
      if (file === undefined || size > bytes) startSegment()
      const text = `${failure === null ? '' : '\n'}${pending.join('')}`
      if (file !== undefined) size += writeSync(file, text)
      pending = []
      failure = null
      sync()
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error)
      pending = pending.slice(-mostPending)
    }
  }

  const count = (entry: UsageEntry): void => {
    const { costUsd, inputTokens, outputTokens, cacheWriteTokens, time } = entry
    addTo(sums, keysOf(entry, time), {
      usd: costUsd,
      tokens: inputTokens + outputTokens + cacheWriteTokens,
      at: time,
    })
  }

  const end: Ledger['end'] = (call, draft) => {
    // Its own segment is written before it is counted: the sums at a segment's start are without what follows.
    const entry = { ...draft, seq: seq + 1 }
    open.delete(call)
    write({ end: call, entry })
    seq = entry.seq
    count(entry)
  }

  const newest = segments().at(-1)
  if (newest !== undefined) {
    for (const line of readLines(join(dir, newest))) {
      if ('sums' in line) {
        sums.clear()
        for (const [key, sum] of line.sums) sums.set(key, sum)
        seq = line.seq
      } else if ('begin' in line) open.set(line.begin, line.entry)
      else {
        open.delete(line.end)
        seq = line.entry.seq
        count(line.entry)
      }
    }
    // The last broker was killed while it answered these.
    const left = [...open]
    const path = join(dir, newest)
    file = openSync(path, 'a', 0o600)
    writeSync(file, '\n')
    size = readFileSync(path).length
    for (const [call, entry] of left) end(call, { ...entry, end: 'cut' })
  }

  return {
    id,
    sums,
    lastSeq: () => seq,
    error: () => failure,
    begin: (call, entry) => {
      open.set(call, entry)
      write({ begin: call, entry })
    },
    end,
    read: (after, limit) => {
      const names = segments()
      // The last segment that begins at or before the wanted entry, and all behind it.
      const first = Math.max(
        0,
        names.findLastIndex((name) => name <= segmentName(after + 1)),
      )
      const entries: UsageEntry[] = []
      for (const name of names.slice(first)) {
        for (const line of readLines(join(dir, name)))
          if ('end' in line && line.entry.seq > after) entries.push(line.entry)
        if (entries.length >= limit) break
      }
      return entries.slice(0, limit)
    },
    forget: (upTo) => {
      const names = segments()
      for (const [at, name] of names.entries()) {
        const next = names[at + 1]
        if (next !== undefined && next <= segmentName(upTo + 1)) rmSync(join(dir, name))
      }
    },
    close: () => {
      clearTimeout(syncing)
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}
