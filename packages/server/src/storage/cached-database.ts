import { LRUCache } from 'lru-cache'
import type { Database } from './database.ts'

/** Copied and frozen: one object serves every reader, so none may change it. */
const frozen = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null) return value
  const entries = Array.isArray(value)
    ? value.map(frozen)
    : Object.fromEntries(
        Object.entries(value).flatMap(([key, part]) => (part === undefined ? [] : [[key, frozen(part)]])),
      )
  return Object.freeze(entries) as T
}

/** Rows by id. A row that was loaded while somebody wrote it is given to its reader, but not kept: it may be the old one. */
const createRows = <Row extends { id: string }>(max: number, load: (id: string) => Promise<Row | undefined>) => {
  const rows = new LRUCache<string, Row>({ max })
  const loads = new Map<string, Promise<Row | undefined>>()

  const startLoad = (id: string): Promise<Row | undefined> => {
    const loading = load(id)
      .then((row) => {
        const loaded = frozen(row)
        if (loaded !== undefined && loads.get(id) === loading) rows.set(id, loaded)
        return loaded
      })
      .finally(() => {
        if (loads.get(id) === loading) loads.delete(id)
      })
    loads.set(id, loading)
    return loading
  }

  return {
    get: async (id: string): Promise<Row | undefined> => rows.get(id) ?? (await (loads.get(id) ?? startLoad(id))),
    /** Writes through: after success the row is `next` (read anew when that is undefined), and after a failure whatever the database says it is. */
    write: async (id: string, next: Row | undefined, write: () => Promise<void>): Promise<void> => {
      const row = frozen(next)
      try {
        await write()
      } catch (error) {
        loads.delete(id)
        rows.delete(id)
        throw error
      }
      loads.delete(id)
      if (row === undefined) rows.delete(id)
      else rows.set(id, row)
    },
  }
}

/**
 * The same database with its sessions and users in memory, for this process is the only one that writes to them. What it
 * gives out is frozen.
 */
export const cacheDatabase = (database: Database, { max }: { max: number }): Database => {
  const { events, sessions, users } = database
  const sessionRows = createRows(max, sessions.get)
  const userRows = createRows(max, users.get)
  return {
    ...database,
    events: {
      ...events,
      append: (append, onWritten) =>
        sessionRows.write(append.record.id, append.record, () => events.append(append, onWritten)),
    },
    sessions: {
      ...sessions,
      create: (record) => sessionRows.write(record.id, record, () => sessions.create(record)),
      get: sessionRows.get,
      delete: (id) => sessionRows.write(id, undefined, () => sessions.delete(id)),
    },
    users: {
      ...users,
      create: (record) => userRows.write(record.id, record, () => users.create(record)),
      get: userRows.get,
      update: (id, changes) => userRows.write(id, undefined, () => users.update(id, changes)),
      delete: (id) => userRows.write(id, undefined, () => users.delete(id)),
    },
  }
}
