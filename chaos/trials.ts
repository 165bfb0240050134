import type { Trial } from './lib/trial.ts'
import { claudeKills } from './trials/claude-kills.ts'
import { clientCuts } from './trials/client-cuts.ts'
import { namedPoints } from './trials/named-points.ts'
import { orphans } from './trials/orphans.ts'
import { recovery } from './trials/recovery.ts'
import { serverKills } from './trials/server-kills.ts'

/** The table, in its order. The orphans are those of all trials before. */
export const trials: readonly Trial[] = [serverKills, claudeKills, namedPoints, clientCuts, recovery, orphans]
