/** Time as a parameter, so that tests can hold it still. `now` is milliseconds since 1970. */
export type Clock = { now(): number }

export const systemClock: Clock = { now: () => Date.now() }

export const isoTime = (ms: number): string => new Date(ms).toISOString()
