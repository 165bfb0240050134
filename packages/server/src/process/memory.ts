import { readFileSync } from 'node:fs'

const numberIn = (path: string, pattern = /^(\d+)/): number | undefined => {
  try {
    const found = pattern.exec(readFileSync(path, 'utf8'))?.[1]
    return found === undefined ? undefined : Number(found)
  } catch {
    return undefined
  }
}

/** What can still be taken before the machine, or the container that this is, runs out of memory: bytes of all and of what is left. */
export const memory = (): { total: number; available: number } => {
  const total = (numberIn('/proc/meminfo', /^MemTotal:\s+(\d+)/m) ?? Number.POSITIVE_INFINITY) * 1024
  const available = (numberIn('/proc/meminfo', /^MemAvailable:\s+(\d+)/m) ?? Number.POSITIVE_INFINITY) * 1024
  const limit =
    numberIn('/sys/fs/cgroup/memory.max') ?? numberIn('/sys/fs/cgroup/memory/memory.limit_in_bytes') ?? total
  const used = numberIn('/sys/fs/cgroup/memory.current') ?? numberIn('/sys/fs/cgroup/memory/memory.usage_in_bytes') ?? 0
  return limit < total ? { total: limit, available: Math.min(available, limit - used) } : { total, available }
}
