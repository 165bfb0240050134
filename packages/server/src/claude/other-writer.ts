import { readlinkSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { bootId, isAlive, type Identity } from '../process/identity.ts'
import { at, openFolder, readSmall } from './in-home.ts'

const maxBytes = 64 * 1024

/**
 * The pid of a claude that somebody started by hand in this home and that has the conversation open: each claude writes down
 * itself and its conversation. One in a sandbox is another namespace's, and no stranger's: those are told by our own records.
 */
export const findOtherWriter = async (home: string, claudeSessionId: string): Promise<number | undefined> => {
  try {
    await using folder = await openFolder(home, '.claude', 'sessions')
    for (const name of await readdir(at(folder))) {
      const writer = parse((await readSmall(folder, name, maxBytes)) ?? '')
      if (writer?.sessionId === claudeSessionId && isAlive(writer.identity)) return writer.identity.pid
    }
  } catch {
    // No claude has run here yet.
  }
  return undefined
}

const parse = (text: string): { sessionId: string; identity: Identity } | undefined => {
  try {
    const { pid, sessionId, procStart, pidDomain } = JSON.parse(text)
    if (!Number.isSafeInteger(pid) || pid < 1 || !String(pidDomain).endsWith(readlinkSync('/proc/self/ns/pid')))
      return undefined
    return { sessionId, identity: { pid, startTime: Number(procStart), bootId: bootId() } }
  } catch {
    // Not written whole, or the key beside it.
    return undefined
  }
}
