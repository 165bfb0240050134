/** A queue with one consumer: `consume` gets everything that has gathered since it last ran, and never runs twice at once. */
export type Mailbox<T> = {
  post(item: T): void
  /** Resolves when everything posted so far has been consumed. */
  drained(): Promise<void>
}

/** `consume` must not throw: what can fail is answered to whoever posted it. */
export const createMailbox = <T>(consume: (batch: T[]) => Promise<void>): Mailbox<T> => {
  let waiting: T[] = []
  let running: Promise<void> | undefined

  const run = async (): Promise<void> => {
    // One turn of the event loop gathers what arrives together, so that it shares a transaction.
    await Promise.resolve()
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      await consume(batch)
    }
    running = undefined
  }

  return {
    post: (item) => {
      waiting.push(item)
      running ??= run()
    },
    drained: async () => {
      while (running !== undefined) await running
    },
  }
}
