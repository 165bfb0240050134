import type { AppError } from '../../../lib/app-error.ts'

/** What a database's driver knows of its errors. */
export type SqlErrors = {
  /** Whether a unique constraint or a primary key refused the row. */
  isTaken(error: unknown): boolean
  /** The error as AppError storage_full, storage_unavailable or internal. */
  toStorageError(error: unknown): AppError
}

/**
 * Runs one statement. The shared stores never need a transaction of several statements: on SQLite they share one connection
 * with the log, whose own transactions must not be mixed with theirs.
 */
export const runQuery = async <T>(errors: SqlErrors, query: () => Promise<T>, taken?: () => AppError): Promise<T> => {
  try {
    return await query()
  } catch (error) {
    throw taken !== undefined && errors.isTaken(error) ? taken() : errors.toStorageError(error)
  }
}
