import { AppError } from './app-error.ts'

/** Runs at most `limit` tasks at once; the others wait in order, at most `maxWaiting` of them. */
export const createSemaphore = (limit: number, maxWaiting = Number.POSITIVE_INFINITY) => {
  let free = limit
  const waiting: (() => void)[] = []
  return async <T>(task: () => Promise<T>): Promise<T> => {
    if (free > 0) free--
    else if (waiting.length >= maxWaiting)
      throw new AppError('out_of_capacity', 'Too many wait for the same thing.', { retryAfter: 2 })
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await task()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}
