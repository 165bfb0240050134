import type { Message } from '@aicm/protocol'
import type { Database } from './database.ts'
import type { SessionRecord } from './session-store.ts'

/** What could be read of a session whose row or whose log is not whole. */
export type Rescued = { id: string; record: SessionRecord | undefined; events: Message[] }

/**
 * Puts what a damaged database has lost into its successor, from wherever else it can be found; resolves with what it has to
 * say of that. `sessionsLost`: there may be sessions of which nothing at all could be read.
 */
export type Refill<Report> = (
  database: Database,
  found: { incomplete: Rescued[]; sessionsLost: boolean },
) => Promise<Report>
