import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from './config/config.ts'
import { AppError } from './lib/app-error.ts'
import type { Clock } from './lib/clock.ts'
import type { Log } from './lib/log.ts'
import { createStorageBreaker, type StorageBreaker } from './storage/breaker.ts'
import { cacheDatabase } from './storage/cached-database.ts'
import type { Database } from './storage/database.ts'
import { openLmdbKeyValue } from './storage/drivers/lmdb/key-value.ts'
import { openSqliteDatabase } from './storage/drivers/sqlite/database.ts'
import { lockFolder } from './storage/drivers/sqlite/folder-lock.ts'
import { openOrRebuild, type Rebuilt } from './storage/drivers/sqlite/open-or-rebuild.ts'
import type { FallbackDatabase } from './storage/fallback-database.ts'
import type { KeyValueStore } from './storage/key-value-store.ts'
import type { RebuildReport } from './rebuild/rebuild.ts'

export type Recovery = Rebuilt<RebuildReport> & {
  /** The report as a file. */
  report: string
}

export type Storage = AsyncDisposable & {
  database: Database
  kv: KeyValueStore
  breaker: StorageBreaker
  /** Sessions whose newest messages are in the fallback store only. */
  diverted(): number
  /** Set when the database was damaged, and was rebuilt. */
  recovery: Recovery | undefined
}

const cachedRecords = 10_000
/** Failed writes in a row, after which the next ones are refused without a try; and how long until one is tried again. */
const breakerSettings = { failures: 5, probeAfterMs: 1000 }

const isDamagedStore = (error: unknown): boolean =>
  error instanceof AppError && error.code === 'storage_unavailable' && error.message.includes('damaged')

/** Only run-time state is in it: what it says of running processes is found out anew. */
const openKeyValue = async (
  path: string,
  options: { dataDir: string; now: number; log: Log },
): Promise<KeyValueStore> => {
  try {
    return openLmdbKeyValue({ path })
  } catch (error) {
    if (!isDamagedStore(error)) throw error
    const setAside = `${path}.damaged-${stamp(options.now)}`
    renameSync(path, setAside)
    const kv = openLmdbKeyValue({ path })
    const { findProcessRecords } = await import('./rebuild/find-process-records.ts')
    const found = await findProcessRecords(options.dataDir)
    for (const { key, value } of found) await kv.put(key, value)
    options.log.error(
      { err: error, setAside, processes: found.length },
      'the key-value store was damaged: a new one is used',
    )
    return kv
  }
}

const stamp = (now: number): string => new Date(now).toISOString().replaceAll(/[:.]/g, '-')

const isEmptyFolder = (path: string): boolean => !existsSync(path) || readdirSync(path).length === 0

/**
 * All that is stored: opened, rebuilt where it is damaged, with a fallback where one is configured, behind a breaker that
 * refuses writes fast while they fail.
 */
export const openStorage = async (
  { dataDir, fallbackDataDir }: Pick<Config, 'dataDir' | 'fallbackDataDir'>,
  { clock, log, onSyncFailed }: { clock: Clock; log: Log; onSyncFailed(): void },
): Promise<Storage> => {
  await using opened = new AsyncDisposableStack()
  const now = clock.now()
  const path = join(dataDir, 'aicm.db')
  const kv = opened.use(await openKeyValue(join(dataDir, 'kv'), { dataDir, now, log }))

  let rebuilt: Rebuilt<RebuildReport> | undefined
  const open = async (again: boolean): Promise<Database> => {
    if (again) return openSqliteDatabase({ path, settle: true })
    const first = await openOrRebuild<RebuildReport>({
      path,
      // A user's files are made with the first session.
      expected: !isEmptyFolder(join(dataDir, 'users')),
      refill: async (database, found) => {
        const { createRefill } = await import('./rebuild/rebuild.ts')
        return createRefill({ dataDir, kv, now, log })(database, found)
      },
      now,
      log,
      // A fallback opens the database anew by itself.
      onSyncFailed: fallbackDataDir === undefined ? onSyncFailed : undefined,
    })
    rebuilt = first.rebuilt
    return first.database
  }
  const breaker = createStorageBreaker(breakerSettings)
  breaker.onChange((state) =>
    log[state === 'open' ? 'error' : 'warn']({ state, reason: breaker.reason() }, 'storage breaker'),
  )
  const fallback =
    fallbackDataDir === undefined ? undefined : await openWithFallback(fallbackDataDir, { open, breaker, opened, log })
  const database = fallback?.database ?? opened.use(breaker.guard(await open(false)))

  const resources = opened.move()
  return {
    database: cacheDatabase(database, { max: cachedRecords }),
    kv,
    breaker,
    diverted: () => fallback?.diverted() ?? 0,
    recovery:
      rebuilt === undefined ? undefined : writeReport(join(dataDir, `recovery-report-${stamp(now)}.json`), rebuilt),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

const openWithFallback = async (
  dir: string,
  options: {
    open: (again: boolean) => Promise<Database>
    breaker: StorageBreaker
    opened: AsyncDisposableStack
    log: Log
  },
): Promise<FallbackDatabase> => {
  const { open, breaker, opened, log } = options
  // Loaded only where it is used: a start should not pay for it.
  const [{ openReopenable }, { openAppendLog }, { openFallbackDatabase }] = await Promise.all([
    import('./storage/reopenable-database.ts'),
    import('./storage/drivers/sqlite/append-log.ts'),
    import('./storage/fallback-database.ts'),
  ])
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const lock = lockFolder(dir)
  opened.defer(() => lock.release())
  const primary = await openReopenable(open)
  const fallback = await openFallbackDatabase({
    primary: breaker.guard(primary.database),
    reopen: primary.reopen,
    fallback: openAppendLog({ path: join(dir, 'appends.db') }),
    probeMs: breakerSettings.probeAfterMs,
    log,
  })
  opened.use(fallback.database)
  return fallback
}

const writeReport = (report: string, rebuilt: Rebuilt<RebuildReport>): Recovery => {
  writeFileSync(report, `${JSON.stringify(rebuilt, null, 2)}\n`, { mode: 0o600 })
  return { ...rebuilt, report }
}
