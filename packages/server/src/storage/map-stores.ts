import type { Database } from './database.ts'

export type StoreMethod = (...args: unknown[]) => Promise<unknown>
type Place = { store: string; method: string }

const reading = /^(?:get|list|find|count|read)/

/** Every store names its methods so that they can be told apart: what is no reading changes something. */
export const isWrite = ({ method }: Place): boolean => !reading.test(method)

/** The same database with each method of each store replaced, also of stores that will be added to the contract. */
export const mapStores = (
  database: Database,
  replace: (method: StoreMethod, place: Place) => StoreMethod,
): Database => {
  const { describe, [Symbol.asyncDispose]: dispose, ...stores } = database
  const mapped = Object.entries(stores).map(([store, methods]) => [
    store,
    Object.fromEntries(
      Object.entries(methods as Record<string, StoreMethod>).map(([method, run]) => [
        method,
        replace(run, { store, method }),
      ]),
    ),
  ])
  return { ...(Object.fromEntries(mapped) as typeof stores), describe, [Symbol.asyncDispose]: dispose }
}
