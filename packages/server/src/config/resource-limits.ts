import { leastResources, parseAmount, resourceNames, resourcesInBytes, type ResourceLimits } from '@aicm/protocol'

/** Without `memory`, which goes by the machine. A fork bomb is stopped by `pids`; CPUs are shared fairly without a limit. */
export const defaultResourceLimits = {
  cpus: null,
  pids: 4096,
  files: 4096,
  processes: 8192,
  fileSize: 4 * 2 ** 30,
  core: 0,
} as const satisfies Partial<ResourceLimits>

const none: Partial<ResourceLimits> = Object.fromEntries(resourceNames.map((name) => [name, null]))

/** What `--limit` says, in its order: `off`, or `name=number` (bytes with k, m, g or t). Undefined where it says neither. */
export const parseResourceLimits = (settings: readonly string[]): Partial<ResourceLimits> | undefined => {
  let limits: Partial<ResourceLimits> = {}
  for (const setting of settings) {
    if (setting === 'off') {
      limits = none
      continue
    }
    const said = parseAmount(setting, { names: resourceNames, inBytes: resourcesInBytes })
    if (said === undefined) return undefined
    const { name, amount } = said
    if (amount !== null && (amount < leastResources[name] || (name !== 'cpus' && !Number.isInteger(amount))))
      return undefined
    limits = { ...limits, [name]: amount }
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
