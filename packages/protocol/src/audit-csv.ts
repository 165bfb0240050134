import type { AuditEntry } from './audit-entry.ts'

const columns = [
  'seq',
  'time',
  'userId',
  'username',
  'action',
  'target',
  'result',
  'code',
  'address',
  'requestId',
  'credential',
  'detail',
  'hash',
] as const satisfies readonly (keyof AuditEntry)[]

export const auditCsvHead = `${columns.join(',')}\r\n`

/** A spreadsheet takes what begins so for a formula, and runs it: behind an apostrophe it is text. */
const inert = (text: string): string => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text)

const cell = (value: unknown): string => {
  const text = inert(typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value))
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** A line of RFC 4180. */
export const auditCsvLine = (entry: AuditEntry): string => `${columns.map((name) => cell(entry[name])).join(',')}\r\n`
