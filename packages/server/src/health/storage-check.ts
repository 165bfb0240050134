import { randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isOutOfSpace } from '../lib/disk-full.ts'
import type { KeyValueStore } from '../storage/key-value-store.ts'

export type StorageCheck = () => Promise<{ error: string | null }>

const timeoutMs = 5000
/** Whoever asks again so soon gets the same answer: a write to the disk is not to be had for the asking. */
const keptMs = 1000

/** A store may go on for a while with the room it has, so the disk itself is asked too. */
const writeToDisk = async (dataDir: string): Promise<void> => {
  const path = join(dataDir, '.health-check')
  try {
    await using file = await open(path, 'w+', 0o600)
    const written = randomBytes(4096)
    await file.write(written, 0, written.length, 0)
    await file.datasync()
    const { buffer } = await file.read(Buffer.alloc(written.length), 0, written.length, 0)
    if (!buffer.equals(written)) throw new Error('The data folder gave back something else than was written.')
  } finally {
    await rm(path, { force: true })
  }
}

const probeEveryMs = 1000

/** Resolves when the disk takes data again; never on abort. */
export const untilDiskWorks = (dataDir: string, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const probe = (): void => {
      if (signal.aborted) return
      writeToDisk(dataDir).then(resolve, () => setTimeout(probe, probeEveryMs).unref())
    }
    probe()
  })

const writeToStore = async (kv: KeyValueStore): Promise<void> => {
  const written = randomBytes(8).toString('hex')
  await kv.put('health/check', written)
  if ((await kv.get('health/check')) !== written)
    throw new Error('The key-value store gave back something else than was written.')
}

const words = (error: unknown): string => {
  if (isOutOfSpace(error)) return 'The disk of the data folder is full.'
  if (error instanceof Error && 'code' in error && error.code === 'EROFS') return 'The data folder can only be read.'
  return error instanceof Error ? error.message : String(error)
}

/** Whether a small write is made durable and can be read again. */
export const createStorageCheck = (dataDir: string, kv: KeyValueStore): StorageCheck => {
  let last: { at: number; check: Promise<{ error: string | null }> } | undefined

  const check = async (): Promise<{ error: string | null }> => {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new Error(`It did not answer within ${timeoutMs / 1000} s.`)), timeoutMs)
    try {
      await Promise.race([Promise.all([writeToDisk(dataDir), writeToStore(kv)]), late.promise])
      return { error: null }
    } catch (error) {
      return { error: words(error) }
    } finally {
      clearTimeout(timer)
    }
  }

  return () => {
    if (last === undefined || performance.now() - last.at > keptMs) last = { at: performance.now(), check: check() }
    return last.check
  }
}
