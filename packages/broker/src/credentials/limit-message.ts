/** What claude is told, and shows, while a credential rests. The server reads the time from it again. */
export const limitMessage = (host: string, until: number): string =>
  `The model API at ${host} limits this credential until ${new Date(until).toISOString()}.`

/** The other direction, in milliseconds since 1970; undefined for any other text. */
export const readLimitedUntil = (text: string): number | undefined => {
  const time = Date.parse(/limits this credential until (\S+Z)\./.exec(text)?.[1] ?? '')
  return Number.isNaN(time) ? undefined : time
}
