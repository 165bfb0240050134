import type { RowGroup } from './lib/row.ts'
import { brokerRows } from './rows/broker.ts'
import { manySubscribers, oneSubscriber } from './rows/deliveries.ts'
import { acceptedPrompts, getSession } from './rows/http.ts'
import { authorizeAndLimit, fairness } from './rows/limits.ts'
import { newSession, secondPrompt, wholeTurn } from './rows/real-claude.ts'
import { sandboxStart } from './rows/sandbox.ts'
import { cliHelp, npmStart, serverStart } from './rows/start.ts'
import { sleepingMemory, wake, warmSession } from './rows/rest.ts'
import { idleMemory, replay } from './rows/stored.ts'

/** The table, in its order. */
export const rowGroups: readonly RowGroup[] = [
  secondPrompt,
  newSession,
  wholeTurn,
  serverStart,
  npmStart,
  sandboxStart,
  oneSubscriber,
  manySubscribers,
  getSession,
  acceptedPrompts,
  authorizeAndLimit,
  fairness,
  replay,
  idleMemory,
  wake,
  warmSession,
  sleepingMemory,
  brokerRows,
  cliHelp,
]
