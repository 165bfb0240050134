/** A message for whoever sent the configuration. Never contains a secret. */
export class InvalidConfig extends Error {}

export const record = (value: unknown, name: string): Record<string, unknown> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidConfig(`${name} must be a JSON object`)
  return { ...value }
}

export const onlyKeys = (value: Record<string, unknown>, allowed: string[]): void => {
  const unknown = Object.keys(value).find((key) => !allowed.includes(key))
  if (unknown !== undefined) throw new InvalidConfig(`unknown key ${JSON.stringify(unknown.slice(0, 40))}`)
}

export const wholeNumber = (value: unknown, name: string, least: number): number => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least)
    throw new InvalidConfig(`${name} must be a whole number from ${least} up`)
  return value
}

export const amount = (value: unknown, name: string): number => {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new InvalidConfig(`${name} must be a number from 0 up`)
  return value
}
