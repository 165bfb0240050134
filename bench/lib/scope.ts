/** What a run has started and must end: at the end of its row, or all at once when somebody presses Ctrl-C. */
export type Scope = {
  /** `end` runs once, whoever asks first. */
  own(end: () => Promise<void>): AsyncDisposable
  /** Ends what is still open, newest first. */
  close(): Promise<void>
}

export const createScope = (): Scope => {
  const open = new Set<AsyncDisposable>()
  return {
    own: (end) => {
      let ending: Promise<void> | undefined
      const owned: AsyncDisposable = {
        [Symbol.asyncDispose]: async () => {
          ending ??= end()
          await ending.finally(() => open.delete(owned))
        },
      }
      open.add(owned)
      return owned
    },
    close: async () => {
      for (const owned of [...open].reverse()) await owned[Symbol.asyncDispose]()
    },
  }
}
