/** What was typed but not sent, for each session. Survives a reload; a log-out clears it. */
export type Drafts = {
  get: (sessionId: string) => string
  set: (sessionId: string, text: string) => void
  clear: () => void
}

const prefix = 'aicm.draft.'

export const createDrafts = (
  storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>,
): Drafts => ({
  get: (sessionId) => storage.getItem(prefix + sessionId) ?? '',
  set(sessionId, text) {
    try {
      if (text === '') storage.removeItem(prefix + sessionId)
      else storage.setItem(prefix + sessionId, text)
    } catch {
      // The browser's quota is full: the draft lives on in the text field.
    }
  },
  clear() {
    const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index))
    for (const key of keys) if (key?.startsWith(prefix)) storage.removeItem(key)
  },
})
