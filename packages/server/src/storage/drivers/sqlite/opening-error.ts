import { AppError } from '../../../lib/app-error.ts'
import { toStorageError } from './sqlite-error.ts'

/** The error of opening, with the path: whoever starts the server needs to know which file is meant. */
export const openingError = (path: string, cause: unknown): AppError => {
  const outOfSpace = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC'
  const error = outOfSpace ? new AppError('storage_full', 'The disk is full.', { cause }) : toStorageError(cause)
  // What is no error of SQLite's comes from the file system, and says itself what is wrong.
  if (error.code === 'internal' && cause instanceof Error) {
    return new AppError('storage_unavailable', `Cannot open the database ${path}: ${cause.message}`, { cause })
  }
  return new AppError(error.code, `Cannot open the database ${path}: ${error.message}`, { cause, hint: error.hint })
}
