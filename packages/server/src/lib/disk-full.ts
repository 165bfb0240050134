import { statfsSync } from 'node:fs'

/** A process that starts needs less, and one that works needs it soon. */
const least = 8 * 2 ** 20

/** Whether there is next to no room on the disk of this folder. */
export const isDiskFull = (folder: string): boolean => {
  try {
    const { bavail, blocks, bsize } = statfsSync(folder)
    // Some file systems do not tell.
    return blocks > 0 && bavail * bsize < least
  } catch {
    return false
  }
}

/** Whether it is for want of room that this failed: also in the words of a program. */
export const isOutOfSpace = (error: unknown): boolean =>
  error instanceof Error &&
  (('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'storage_full')) ||
    /no space left on device|disk quota exceeded/i.test(error.message))
