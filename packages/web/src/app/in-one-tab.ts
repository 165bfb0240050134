import { randomUuid } from '@aicm/client'

type Place = {
  storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>
  /** Browsers have it for pages from https and from this machine only. */
  locks: LockManager | undefined
  name: string
}

/** Longer than a refresh may take: a tab that was closed in the middle keeps the others waiting so long. */
const heldMs = 40_000
/** Whoever saw that it is free has said by then that it wants it, and all tabs know: on a busy machine that takes its time. */
const settleMs = 300

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Runs `work` while no other tab of this browser does. */
export const inOneTab = async <T>({ storage, locks, name }: Place, work: () => Promise<T>): Promise<T> => {
  if (locks !== undefined) return locks.request(name, work) as Promise<T>
  const key = `${name}.lock`
  const me = randomUuid()
  const holder = (): string | undefined => {
    const [owner, until] = (storage.getItem(key) ?? '').split(' ')
    return Number(until) > Date.now() ? owner : undefined
  }
  while (true) {
    if (holder() === undefined) {
      storage.setItem(key, `${me} ${Date.now() + heldMs}`)
      // Several may have seen it free: the last to say so has it.
      await sleep(settleMs)
      if (holder() === me) break
    }
    await sleep(settleMs)
  }
  try {
    return await work()
  } finally {
    if (holder() === me) storage.removeItem(key)
  }
}
