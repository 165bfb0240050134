import { loginLifeMs } from '../auth/logins.ts'
import type { Identity } from '../auth/identity.ts'
import { AppError, toAppError } from '../lib/app-error.ts'
import { userOf, type Caller } from './access.ts'
import type { Services } from './services.ts'

/** Timers take no more. */
const longestWaitMs = 2 ** 31 - 1

/** A login goes on while it is refreshed, by whatever connection: it ends when even its newest token could not be any more. */
const endOf = ({ grant, expiresAt }: Identity): number => (grant.kind === 'key' ? expiresAt : expiresAt + loginLifeMs)

/**
 * For what stays open behind a request. Calls `lost` once the caller is no longer let in, or `check` rejects: at once when
 * something is taken back. Returns the way to stop.
 */
export const watchAccess = (
  services: Services,
  identity: Identity,
  { check, lost }: { check?: (user: Caller) => Promise<unknown>; lost: (error: AppError) => void },
): (() => void) => {
  const end = endOf(identity)
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  const look = (): void => {
    const still = async (): Promise<void> => {
      if (end <= services.clock.now()) throw new AppError('unauthorized', 'This login or API key has expired.')
      const user = await userOf(services, identity)
      await check?.(user)
    }
    still().catch((error: unknown) => {
      if (!stopped) lost(toAppError(error))
    })
  }
  const wait = (): void => {
    if (end === Infinity) return
    timer = setTimeout(
      () => {
        look()
        wait()
      },
      Math.min(Math.max(end - services.clock.now(), 1000), longestWaitMs),
    ).unref()
  }
  wait()
  const stopWatching = services.accessChanges.watch(identity.userId, look)
  // Between the check that let it in and now.
  look()

  return () => {
    stopped = true
    clearTimeout(timer)
    stopWatching()
  }
}
