/** Ends a switch over a union: a case that was forgotten is a compile error here. */
export const unreachable = (value: never): never => {
  throw new Error(`Unhandled case: ${JSON.stringify(value)}`)
}
