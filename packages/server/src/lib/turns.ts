import { createSemaphore } from './semaphore.ts'

/** Runs at most `limit` tasks of one key at once; the others of that key wait in order, at most `maxWaiting` of them. */
export const createTurns = (limit: number, maxWaiting?: number) => {
  const of = new Map<string, { run: ReturnType<typeof createSemaphore>; tasks: number }>()
  return async <T>(key: string, task: () => Promise<T>): Promise<T> => {
    const turn = of.get(key) ?? { run: createSemaphore(limit, maxWaiting), tasks: 0 }
    of.set(key, turn)
    turn.tasks++
    try {
      return await turn.run(task)
    } finally {
      turn.tasks--
      if (turn.tasks === 0) of.delete(key)
    }
  }
}
