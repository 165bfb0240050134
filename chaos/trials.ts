import type { Trial } from './lib/trial.ts'
import { claudeKills } from './trials/claude-kills.ts'
import { namedPoints } from './trials/named-points.ts'
import { serverKills } from './trials/server-kills.ts'

/** The table, in its order. */
export const trials: readonly Trial[] = [serverKills, claudeKills, namedPoints]
