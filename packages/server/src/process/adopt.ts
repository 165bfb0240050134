import { attach } from './attach.ts'
import { isAlive } from './identity.ts'
import type { ProcessRecord, SessionProcess } from './session-process.ts'

/**
 * Takes over a process that another server started. It may have ended meanwhile: then `exited` resolves soon, and `output`
 * still yields what its journal holds.
 */
export const adopt = (record: ProcessRecord): SessionProcess =>
  attach(record, isAlive(record.identity) ? undefined : Promise.resolve(undefined))
