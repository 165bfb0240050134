import { AppError } from '../../../lib/app-error.ts'
import { copy } from './copy.ts'

/** Records by id, copied in and out, so that nobody changes a stored record by holding on to it. */
export type Table<Row extends { id: string }> = {
  insert(record: Row): void
  get(id: string): Row | undefined
  /** In the order of their ids. */
  where(matches: (record: Row) => boolean): Row[]
  /** Only what `changes` sets; nothing when there is no such record. */
  update(id: string, changes: Partial<Row>): void
  delete(id: string): void
  readonly size: number
}

const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1)

export const createTable = <Row extends { id: string }>(): Table<Row> => {
  const rows = new Map<string, Row>()
  return {
    insert: (record) => {
      if (rows.has(record.id)) throw new AppError('internal', `There is a ${record.id} already.`)
      rows.set(record.id, copy(record))
    },
    get: (id) => {
      const row = rows.get(id)
      return row && copy(row)
    },
    where: (matches) => [...rows.values()].filter(matches).sort(byId).map(copy),
    update: (id, changes) => {
      const row = rows.get(id)
      if (row !== undefined) rows.set(id, { ...row, ...copy(changes) })
    },
    delete: (id) => {
      rows.delete(id)
    },
    get size() {
      return rows.size
    },
  }
}
