import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { markerName } from '../claude/start.ts'
import { childrenOf, identify, processesWithMarker } from '../process/identity.ts'
import type { ProcessRecord } from '../process/session-process.ts'
import type { Json } from '../storage/key-value-store.ts'

/** In no boot of this machine: what is known by it has ended. */
const ended = { pid: 0, startTime: 0, bootId: 'unknown' }

/** The outermost of the processes with this marker: the one that none of the others has started. */
const findOutermost = async (marker: string) => {
  const pids = await processesWithMarker(marker)
  const inner = new Set((await Promise.all(pids.map(childrenOf))).flat())
  const outermost = pids.find((pid) => !inner.has(pid))
  return outermost === undefined ? undefined : identify(outermost)
}

/**
 * The newest process of each session by what it has left: its journal, and itself where it still runs. For a key-value store
 * that has lost them.
 */
export const findProcessRecords = async (dataDir: string): Promise<{ key: string; value: Json }[]> => {
  const sessions = join(dataDir, 'sessions')
  const found: { key: string; value: Json }[] = []
  for (const sessionId of await readdir(sessions).catch(() => [])) {
    const generations = (await readdir(join(sessions, sessionId))).map(Number).filter(Number.isInteger)
    if (generations.length === 0) continue
    const generation = Math.max(...generations)
    const marker = `${markerName}=${sessionId}/${generation}`
    const record: ProcessRecord & { generation: number } = {
      generation,
      dir: join(sessions, sessionId, String(generation)),
      identity: (await findOutermost(marker)) ?? ended,
      marker,
    }
    found.push({ key: `process/${sessionId}`, value: record })
  }
  return found
}
