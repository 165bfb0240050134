import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'

/**
 * Holds `<dir>/broker.lock` until released or until the process dies, however it dies; null when another process holds it.
 * Node has no flock; SQLite's exclusive transaction is the same promise from the kernel. Without it, two brokers that start
 * at once could each take the other's sockets for stale.
 */
export const lockFolder = (dir: string): { release: () => void } | null => {
  const database = new DatabaseSync(join(dir, 'broker.lock'))
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (error instanceof Error && error.message.includes('locked')) return null
    throw error
  }
  return { release: () => database.isOpen && database.close() }
}
