import { setTimeout as delay } from 'node:timers/promises'
import { toAppError } from '../lib/app-error.ts'
import type { Log } from '../lib/log.ts'
import type { UserQuotas } from './quotas.ts'
import type { StoredBytes } from './stored-bytes.ts'

type Watched = {
  quotas: Pick<UserQuotas, 'bytesLeft' | 'assertBytes'>
  storedBytes: Pick<StoredBytes, 'mayHaveGrown' | 'measure'>
  registry: {
    /** Whose sessions have processes. */
    liveUsers(): string[]
    halt(userId: string, why: { code: 'quota_exceeded'; message: string }): Promise<void>
  }
}

const everyMs = 1000

/** In the usual case it costs a look at the disks: only whom they have filled enough for is measured again. */
export const lookAtBytes = async ({ quotas, storedBytes, registry }: Watched): Promise<void> => {
  for (const userId of registry.liveUsers()) {
    const left = await quotas.bytesLeft(userId)
    if (left <= 0) {
      const refusal = await quotas.assertBytes(userId).then(() => undefined, toAppError)
      if (refusal?.code === 'quota_exceeded')
        await registry.halt(userId, { code: 'quota_exceeded', message: refusal.message })
    } else if (left < Number.POSITIVE_INFINITY && (await storedBytes.mayHaveGrown(userId, left)))
      storedBytes.measure(userId)
  }
}

/** Ends what runs for users who have stored too much: that they were let begin it is no leave to fill the disk. Never rejects. */
export const watchBytes = async ({ signal, log, ...watched }: Watched & { signal: AbortSignal; log: Log }) => {
  while (!signal.aborted) {
    await lookAtBytes(watched).catch((error: unknown) => log.error({ err: error }, 'quotas could not be looked after'))
    await delay(everyMs, undefined, { ref: false, signal }).catch(() => undefined)
  }
}
