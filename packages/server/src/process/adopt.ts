import { attach } from './attach.ts'
import { isAlive } from './identity.ts'
import { watchOomKills } from './oom-kills.ts'
import { processFiles, type ProcessRecord, type SessionProcess } from './session-process.ts'

/**
 * Takes over a process that another server started. It may have ended meanwhile: then `exited` resolves soon, and `output`
 * still yields what its journal holds.
 */
export const adopt = (record: ProcessRecord): SessionProcess =>
  attach(record, {
    oomKills: watchOomKills({ group: record.group, journal: processFiles(record.dir).stdout }),
    ...(isAlive(record.identity) ? {} : { outerExit: Promise.resolve(undefined) }),
  })
