/**
 * Wakes up whatever a user has open when something the user was let in by may be gone: a login, a key, the account, a share.
 * A wake-up carries no data: whoever is woken looks for itself.
 */
export type AccessChanges = {
  /** Calls `look` after each change that concerns the user; returns the way to stop it. `look` must not throw. */
  watch(userId: string, look: () => void): () => void
  changed(userId: string): void
}

export const createAccessChanges = (): AccessChanges => {
  const watchers = new Map<string, Set<() => void>>()
  return {
    watch: (userId, look) => {
      const ofUser = watchers.get(userId) ?? new Set()
      watchers.set(userId, ofUser)
      ofUser.add(look)
      return () => {
        ofUser.delete(look)
        if (ofUser.size === 0 && watchers.get(userId) === ofUser) watchers.delete(userId)
      }
    },
    changed: (userId) => {
      for (const look of [...(watchers.get(userId) ?? [])]) look()
    },
  }
}
