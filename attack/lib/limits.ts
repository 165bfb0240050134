import { optionTable } from '../../packages/server/src/config/options.ts'

/** The limits that a server has by itself: those of the other rows have none, since they ask for more than anybody does. */
export const usualLimits: readonly string[] = [
  ...optionTable.rateLimits.default.split(', ').flatMap((limit) => ['--rate-limit', limit]),
  ...optionTable.quotas.default.split(', ').flatMap((quota) => ['--quota', quota]),
]
