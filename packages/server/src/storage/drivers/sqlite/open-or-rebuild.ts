import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Log } from '../../../lib/log.ts'
import type { Database } from '../../database.ts'
import type { Refill } from '../../rescued.ts'
import { openSqliteDatabase } from './database.ts'
import { damageNote, suspicion } from './find-damage.ts'
import { migrate } from './migrate.ts'
import { configure, openFile } from './open-file.ts'
import { openingError } from './opening-error.ts'
import { salvage, type SalvagedTable } from './salvage.ts'
import { damaged, isDamage } from './sqlite-error.ts'

export type Rebuilt<Report> = {
  reason: string
  /** Where the damaged file is now; undefined when there was none. */
  setAside: string | undefined
  tables: Record<string, SalvagedTable>
  refilled: Report
}

const beside = ['', '-wal', '-shm']

const sync = (path: string): void => {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Puts the successor in the damaged file's place. Cut off anywhere it is done again at the next start. */
const exchange = (path: string, now: number): string | undefined => {
  const successor = `${path}.rebuilt`
  if (!existsSync(successor)) return undefined
  const setAside = `${path}.damaged-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}`
  const found = beside.filter((suffix) => existsSync(path + suffix))
  for (const suffix of found) renameSync(path + suffix, setAside + suffix)
  renameSync(successor, path)
  rmSync(damageNote(path), { force: true })
  sync(dirname(path))
  return found.includes('') ? setAside : undefined
}

const rebuild = async <Report>(
  path: string,
  reason: string,
  { refill, now, log }: { refill: Refill<Report>; now: number; log: Log },
): Promise<Rebuilt<Report>> => {
  log.error({ path, reason }, 'the database is damaged: it is rebuilt')
  const building = `${path}.rebuilding`
  const remove = (name: string): void => {
    for (const suffix of beside) rmSync(name + suffix, { force: true })
  }
  remove(building)
  const file = openFile(building)
  let salvaged: ReturnType<typeof salvage>
  try {
    configure(file)
    await migrate(file)
    salvaged = salvage(path, file)
  } catch (error) {
    throw openingError(building, error)
  } finally {
    file.close()
    remove(`${building}-first`)
  }
  const { tables, incomplete } = salvaged
  const database = await openSqliteDatabase({ path: building })
  let refilled: Report
  try {
    refilled = await refill(database, { incomplete, sessionsLost: tables['sessions']?.broken ?? true })
  } finally {
    await database[Symbol.asyncDispose]()
  }
  sync(building)
  renameSync(building, `${path}.rebuilt`)
  const setAside = exchange(path, now)
  const report = { reason, setAside, tables, refilled }
  log.error(report, 'the database was rebuilt')
  return report
}

/**
 * Opens the database; one that is damaged is set aside under another name, and a new one is made of what can still be read of
 * it and of what `refill` finds elsewhere. `expected`: there was a database here, so an empty or a missing file is damage too.
 *
 * A file that was closed as it should be is not looked through: that would take as long as reading it.
 */
export const openOrRebuild = async <Report>(options: {
  path: string
  expected: boolean
  refill: Refill<Report>
  now: number
  log: Log
  onSyncFailed?: () => void
}): Promise<{ database: Database; rebuilt: Rebuilt<Report> | undefined }> => {
  const { path, log, onSyncFailed } = options
  exchange(path, options.now)
  try {
    const empty = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0
    if (options.expected && empty) throw damaged('The database file is missing or empty.')
    const database = await openSqliteDatabase({ path, log, verify: suspicion(path), onSyncFailed })
    rmSync(damageNote(path), { force: true })
    return { database, rebuilt: undefined }
  } catch (error) {
    if (!isDamage(error)) throw error
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const rebuilt = await rebuild(path, cause instanceof Error ? cause.message : String(cause), options)
    return { database: await openSqliteDatabase({ path, log, onSyncFailed }), rebuilt }
  }
}
