import { leastResources, resourceNames, resourcesInBytes, type ResourceLimits, type ResourceName } from '@aicm/protocol'

/** Without `memory`, which goes by the machine. A fork bomb is stopped by `pids`; CPUs are shared fairly without a limit. */
export const defaultResourceLimits = {
  cpus: null,
  pids: 4096,
  files: 4096,
  processes: 8192,
  fileSize: 4 * 2 ** 30,
  core: 0,
} as const satisfies Partial<ResourceLimits>

const units = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as const

/** What `--limit` says: `name=number` (bytes with k, m or g) or `name=off`. Undefined where it says neither. */
export const parseResourceLimits = (settings: readonly string[]): Partial<ResourceLimits> | undefined => {
  const limits: Partial<Record<ResourceName, number | null>> = {}
  for (const setting of settings) {
    const [, name, amount, unit = ''] = /^(\w+)=(\d+(?:\.\d+)?|off)([kmg]?)$/i.exec(setting) ?? []
    const known = resourceNames.find((one) => one === name)
    if (known === undefined || (unit !== '' && !resourcesInBytes.includes(known))) return undefined
    const value = amount === 'off' ? null : Number(amount) * units[unit.toLowerCase() as keyof typeof units]
    if (value !== null && (value < leastResources[known] || (known !== 'cpus' && !Number.isInteger(value))))
      return undefined
    limits[known] = value
  }
  return limits
}

/** The tighter of two, for each. */
export const tightest = (limits: ResourceLimits, others: Partial<ResourceLimits> = {}): ResourceLimits =>
  Object.fromEntries(
    resourceNames.map((name) => [name, isTighter(others[name], limits[name]) ? others[name] : limits[name]]),
  ) as ResourceLimits

const isTighter = (limit: number | null | undefined, than: number | null): limit is number =>
  limit !== undefined && limit !== null && (than === null || limit < than)
