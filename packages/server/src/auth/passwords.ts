import { hash, verify } from '@node-rs/argon2'
import { createSemaphore } from '../lib/semaphore.ts'

/** Each takes 19 MiB and some ten milliseconds of a core: more at once would let a flood of log-ins starve everything else. */
const atOnce = createSemaphore(2)

export const hashPassword = (password: string): Promise<string> => atOnce(() => hash(password))

export const verifyPassword = (encoded: string, password: string): Promise<boolean> =>
  atOnce(() => verify(encoded, password).catch(() => false))
