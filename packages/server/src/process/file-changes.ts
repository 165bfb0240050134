import { watch, type FSWatcher } from 'node:fs'

/** Tells a reader of a growing file when to look again. */
export type FileChanges = {
  /** Resolves when the file may have grown since the last call; the first at once. `grew`: the last look found something. */
  next(grew: boolean): Promise<void>
  close(): void
}

/** What catches up where the file system tells no changes (network mounts), and repairs a missed one elsewhere. */
const pollMs = { watched: 1000, unwatched: 50 }
/**
 * Each change is told at once, but not more often than this for long: a claude at full speed writes a line every 30 µs, each
 * with a system call, and would be slowed down by having the reader woken for each. Then the file is looked at by the clock.
 */
const pace = { burst: 8, everyMs: 12, quietLooks: 4 }

export const watchFile = (path: string, ended: AbortSignal): FileChanges => {
  // A change between a look and the wait must not be missed: it is remembered here.
  let changed = true
  let wake: (() => void) | undefined
  let watcher: FSWatcher | undefined
  let watching = true
  let timer: NodeJS.Timeout | undefined
  let quietLooks = 0
  let credit = pace.burst
  let credited = performance.now()

  const notify = (): void => {
    changed = true
    wake?.()
  }

  const startWatching = (): void => {
    watching = true
    try {
      watcher = watch(path, notify)
      watcher.on('error', () => watcher?.close())
    } catch {
      watcher = undefined
    }
    // It may have grown before it was watched.
    changed = true
  }

  const stopWatching = (): void => {
    watching = false
    quietLooks = 0
    watcher?.close()
    watcher = undefined
  }

  const isTooOften = (): boolean => {
    const now = performance.now()
    credit = Math.min(pace.burst, credit + (now - credited) / pace.everyMs) - 1
    credited = now
    return credit < 0
  }

  const lookAgain = (): void => {
    clearTimeout(timer)
    timer = setTimeout(notify, pace.everyMs)
  }

  startWatching()
  const poll = setInterval(notify, watcher === undefined ? pollMs.unwatched : pollMs.watched)
  ended.addEventListener('abort', notify)

  return {
    next: async (grew) => {
      if (watching && grew && isTooOften()) stopWatching()
      if (!watching) {
        quietLooks = grew ? 0 : quietLooks + 1
        if (quietLooks < pace.quietLooks) lookAgain()
        else startWatching()
      }
      if (!changed) await new Promise<void>((resolve) => (wake = resolve))
      wake = undefined
      changed = false
    },
    close: () => {
      ended.removeEventListener('abort', notify)
      clearInterval(poll)
      clearTimeout(timer)
      watcher?.close()
    },
  }
}
