/** What a run has started and must end: at the end of its row, or all at once when somebody presses Ctrl-C. */
export type Scope = {
  /** `end` runs once, whoever asks first. Throws when the run is over: then nothing more is started. */
  own(end: () => Promise<void>): AsyncDisposable
  /** Ends what is still open, newest first: what waits for it fails. */
  close(): Promise<void>
  /** The same, and nothing can be started any more. */
  finish(): Promise<void>
}

export const createScope = (): Scope => {
  const open = new Set<AsyncDisposable>()
  let finished = false

  const close = async (): Promise<void> => {
    for (const owned of [...open].reverse()) await owned[Symbol.asyncDispose]()
  }

  return {
    own: (end) => {
      if (finished) throw new Error('The run was ended.')
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
    close,
    finish: () => {
      finished = true
      return close()
    },
  }
}
