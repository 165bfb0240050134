import type { Trial } from './lib/trial.ts'
import { claudeKills } from './trials/claude-kills.ts'
import { clientCuts } from './trials/client-cuts.ts'
import { manySockets } from './trials/many-sockets.ts'
import { namedPoints } from './trials/named-points.ts'
import { orphans } from './trials/orphans.ts'
import { realCliKills } from './trials/real-cli-kills.ts'
import { recovery } from './trials/recovery.ts'
import { hibernation, waking, warmPool } from './trials/rest.ts'
import { serverKills } from './trials/server-kills.ts'
import { slowReaders } from './trials/slow-readers.ts'
import { startStorm } from './trials/start-storm.ts'

/** The table, in its order. The orphans are those of all trials before. */
export const trials: readonly Trial[] = [
  serverKills,
  realCliKills,
  claudeKills,
  namedPoints,
  clientCuts,
  manySockets,
  recovery,
  slowReaders,
  hibernation,
  waking,
  warmPool,
  startStorm,
  orphans,
]
