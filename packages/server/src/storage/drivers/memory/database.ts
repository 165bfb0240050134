import type { Database } from '../../database.ts'
import { createAudit } from './audit.ts'
import { createLog } from './log.ts'
import { createStores } from './stores.ts'

/** For tests, and for a server that may forget: it behaves as the durable ones do until it is closed. */
export const openMemoryDatabase = (): Database => ({
  ...createLog(),
  ...createStores(),
  audit: createAudit(),
  describe: () => ({ kind: 'memory', schemaVersion: 'none' }),
  [Symbol.asyncDispose]: async () => {},
})
