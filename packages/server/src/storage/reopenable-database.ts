import type { Database } from './database.ts'
import { mapStores, type StoreMethod } from './map-stores.ts'

/** A database that can be opened anew while it is used: what is called meanwhile reaches the old one or the new one. */
export type ReopenableDatabase = {
  database: Database
  /** Rejects when it cannot be opened; then the old one stays. */
  reopen(): Promise<void>
}

/** `open` is called with true when another is open already. */
export const openReopenable = async (open: (again: boolean) => Promise<Database>): Promise<ReopenableDatabase> => {
  let current = await open(false)
  const call =
    (store: string, method: string): StoreMethod =>
    (...args) =>
      (current as unknown as Record<string, Record<string, StoreMethod>>)[store]![method]!(...args)
  return {
    database: {
      ...mapStores(current, (_, { store, method }) => call(store, method)),
      describe: () => current.describe(),
      [Symbol.asyncDispose]: () => current[Symbol.asyncDispose](),
    },
    reopen: async () => {
      const old = current
      current = await open(true)
      await old[Symbol.asyncDispose]()
    },
  }
}
