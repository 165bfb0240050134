import { AppError } from '../../../lib/app-error.ts'
import { isDiskFull } from '../../../lib/disk-full.ts'

const mapFull = -30792
const noSpace = 28
const overQuota = 122
const inputOutput = 5

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

/** Any error of LMDB as AppError storage_full or storage_unavailable. */
export const toKeyValueError = (folder: string, cause: unknown): AppError => {
  if (cause instanceof AppError) return cause
  const code = codeOf(cause)
  // LMDB calls a write that was cut short an input/output error, so the disk itself is asked.
  const full =
    code === noSpace || code === overQuota || code === mapFull || (code === inputOutput && isDiskFull(folder))
  return full
    ? new AppError('storage_full', 'The disk is full.', { cause })
    : new AppError('storage_unavailable', 'The key-value store failed.', { cause })
}
