/** Room for so many at once. Who waits is served in turn by user, so that one user's many calls do not keep others out. */
export type FairQueue = {
  /**
   * Resolves with the way to give the room back. Undefined at once when too many wait already; rejects when `signal` says that
   * nobody waits any more.
   */
  enter(userId: string, signal: AbortSignal): Promise<(() => void) | undefined>
  active(): number
  waiting(): number
}

type Waiting = { signal: AbortSignal; admit: (leave: () => void) => void }

export const createFairQueue = ({ room, mostWaiting }: { room: number; mostWaiting: number }): FairQueue => {
  let active = 0
  let waiting = 0
  /** By user, in the order in which they are served next. */
  const lines = new Map<string, Waiting[]>()

  const leaver = (): (() => void) => {
    active++
    let left = false
    return () => {
      if (left) return
      left = true
      active--
      admitNext()
    }
  }

  const admitNext = (): void => {
    for (const [userId, line] of lines) {
      const next = line.shift()
      lines.delete(userId)
      if (line.length > 0) lines.set(userId, line)
      if (next === undefined || next.signal.aborted) continue
      waiting--
      next.admit(leaver())
      return
    }
  }

  return {
    enter: (userId, signal) => {
      if (active < room) return Promise.resolve(leaver())
      if (waiting >= mostWaiting) return Promise.resolve(undefined)
      return new Promise((resolve, reject) => {
        waiting++
        const entry: Waiting = { signal, admit: resolve }
        const line = lines.get(userId)
        if (line === undefined) lines.set(userId, [entry])
        else line.push(entry)
        signal.addEventListener(
          'abort',
          () => {
            const place = lines.get(userId)?.indexOf(entry) ?? -1
            if (place === -1) return
            lines.get(userId)?.splice(place, 1)
            if (lines.get(userId)?.length === 0) lines.delete(userId)
            waiting--
            reject(signal.reason)
          },
          { once: true },
        )
      })
    },
    active: () => active,
    waiting: () => waiting,
  }
}
