import { hash, verify } from '@node-rs/argon2'
import { createSemaphore } from '../lib/semaphore.ts'

/** Some two seconds of work: who comes later is told to come again. */
const mostWaiting = 100
/** Each takes 19 MiB and some ten milliseconds of a core: more at once would let a flood of log-ins starve everything else. */
const atOnce = createSemaphore(2, mostWaiting)

export const hashPassword = (password: string): Promise<string> => atOnce(() => hash(password))

export const verifyPassword = (encoded: string, password: string): Promise<boolean> =>
  atOnce(() => verify(encoded, password).catch(() => false))
