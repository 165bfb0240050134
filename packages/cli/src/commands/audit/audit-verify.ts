import { hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  createChainCheck,
  emptyAudit,
  findCut,
  formatAuditHead,
  parseAuditHead,
  routes,
  type AuditBreak,
  type AuditEntry,
  type AuditHead,
} from '@aicm/protocol'
import { auditPages } from './audit-pages.ts'
import { CliError, exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { inertLine } from '../../inert.ts'

type VerifyFlags = { after?: number; expect?: string; file?: string }

/** A head that somebody has noted, and who. */
type Noted = AuditHead & { by: string }

/** A log as it is read. `known` is what it should hold, as far as its source has noted that. */
type Source = { pages: AsyncIterable<AuditEntry[]>; length: number | undefined; known: Noted[] }

const sha256 = (text: string): string => hash('sha256', text)

const isEntry = (value: unknown): value is AuditEntry =>
  typeof value === 'object' &&
  value !== null &&
  'seq' in value &&
  typeof value.seq === 'number' &&
  'hash' in value &&
  typeof value.hash === 'string'

async function* readFile(path: string): AsyncGenerator<AuditEntry[], void, void> {
  let number = 0
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity })
  for await (const line of lines) {
    number++
    if (line.trim() === '') continue
    const entry = parse(line)
    if (!isEntry(entry))
      throw new CliError({
        code: 'no_audit_export',
        message: `Line ${number} of ${path} is no audit entry.`,
        hint: 'It takes what this writes: aicm audit export --format ndjson',
        exitCode: exitCodes.failed,
      })
    yield [entry]
  }
}

const parse = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

const fromServer = async (context: Context, after: number): Promise<Source> => {
  const client = await context.client()
  const { anchor, seq, hash: last } = await client.call(routes.audit.head, {})
  return {
    pages: auditPages(client, { before: seq + 1, ...(after > 1 && { after: after - 1 }) }),
    length: seq,
    known: [
      { seq, hash: last, by: 'the server says that the log ends so' },
      ...(anchor === null ? [] : [{ ...anchor, by: 'the server has noted it outside of the database' }]),
    ],
  }
}

type Verdict = { checked: number; head: AuditHead; broken: (AuditBreak & { by?: string }) | undefined }

/** Checks from behind the entry `after`; of that one the hash is taken as it is. Undefined: from where the source begins. */
const verifyPages = async (
  { pages, known }: Source,
  after: number | undefined,
  progress: (checked: number) => void,
): Promise<Verdict> => {
  const found = new Map<number, string>([[0, emptyAudit.hash]])
  const wanted = new Set(known.map(({ seq }) => seq))
  let check = after === undefined || after === 0 ? createChainCheck(sha256) : undefined
  let checked = 0
  let broken: Verdict['broken']
  reading: for await (const page of pages) {
    for (const entry of page) {
      if (after !== undefined && entry.seq < after) continue
      if (check === undefined) {
        // The one that is trusted.
        check = createChainCheck(sha256, { seq: entry.seq, hash: entry.hash })
        if (entry.seq !== after) broken = { seq: after ?? 0, reason: `there is no entry ${after} to begin with` }
      } else {
        broken = check.take(entry)
        if (broken === undefined) checked++
      }
      if (broken !== undefined) break reading
      if (wanted.has(entry.seq)) found.set(entry.seq, entry.hash)
    }
    progress(checked)
  }
  const head = check?.head() ?? emptyAudit
  for (const { by, ...noted } of known) {
    if (after !== undefined && noted.seq < after) continue
    const cut = broken === undefined ? findCut(head, noted, found.get(noted.seq)) : undefined
    if (cut !== undefined) broken = { ...cut, by }
  }
  return { checked, head, broken }
}

/** Fetches the entries and follows the chain here: it does not take the server's word. */
export const verify = async (context: Context, { after, expect, file }: VerifyFlags): Promise<ExitCode> => {
  const expected = expect === undefined ? undefined : parseAuditHead(expect)
  if (expect !== undefined && expected === undefined)
    throw usageError(`--expect "${expect}" is no head of an audit log.`, 'It is what this printed: aicm audit head')
  const source: Source =
    file === undefined ? await fromServer(context, after ?? 0) : { pages: readFile(file), length: undefined, known: [] }
  if (expected !== undefined) source.known.unshift({ ...expected, by: 'given with --expect' })

  const { json, err, out } = context
  const live = context.io.stderr.isTTY === true && !json
  let told = 0
  const { checked, head, broken } = await verifyPages(source, after, (count) => {
    if (!live || count - told < 1000) return
    told = count
    context.io.stderr.write(`\r… ${count}${source.length === undefined ? '' : ` of ${source.length - (after ?? 0)}`}`)
  })
  if (told > 0) context.io.stderr.write('\r\u001b[K')

  if (json) out.json({ ok: broken === undefined, checked, head, broken: broken ?? null })
  else if (broken === undefined)
    out.print(`${out.style.green('ok')}: ${entries(checked)}, up to ${formatAuditHead(head)}`)
  else {
    const why = broken.by === undefined ? '' : ` (${broken.by})`
    out.print(`${out.style.red('broken')} at entry ${broken.seq}: ${inertLine(broken.reason)}${why}`)
    err.print(`${entries(checked)} before it are as they were written. See docs/audit.md for what to do.`)
  }
  return broken === undefined ? exitCodes.ok : exitCodes.failed
}

const entries = (count: number): string => `${count} ${count === 1 ? 'entry' : 'entries'}`
