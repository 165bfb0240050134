import type { Trial } from './lib/trial.ts'
import { serverKills } from './trials/server-kills.ts'

/** The table, in its order. */
export const trials: readonly Trial[] = [serverKills]
