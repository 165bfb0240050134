import { isDiskFull } from '../lib/disk-full.ts'
import type { Shortage } from '../session/slots.ts'
import { pressureOf, readMemory } from './system.ts'

const mostReserve = 512 * 2 ** 20

/** Why there is no room for one more process, as it is now. `memoryReserve`: bytes that are kept free; undefined: a twentieth of all, and not more than half a gigabyte. */
export const findShortage = ({
  dataDir,
  memoryReserve,
}: {
  dataDir: string
  memoryReserve: number | undefined
}): Shortage | undefined => {
  const memory = readMemory()
  const reserve = memoryReserve ?? Math.min(memory.totalBytes / 20, mostReserve)
  if (memory.availableBytes < reserve) {
    const [left, kept] = [memory.availableBytes, reserve].map((bytes) => Math.floor(bytes / 2 ** 20))
    return { of: 'memory', reason: `${left} MB of memory are left, and ${kept} MB are kept free.` }
  }
  const { level, reasons } = pressureOf(memory)
  if (level === 'high') return { of: 'memory', reason: reasons.join(' ') }
  return isDiskFull(dataDir) ? { of: 'disk', reason: 'The disk of the data folder is full.' } : undefined
}
