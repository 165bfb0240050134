import { Compile } from 'typebox/compile'
import type { Static, TSchema } from 'typebox'
import { AppError } from '../lib/app-error.ts'

/** The first thing that is wrong, in words: which key, and what it should be. */
const complain = (
  part: string,
  errors: { instancePath: string; message: string; keyword: string; params: object }[],
): string => {
  // For a union the errors of every variant come one after the other; what is most specific says most.
  const error = errors.find(({ keyword }) => keyword === 'additionalProperties') ?? errors[0]
  if (error === undefined) return `${part} is not valid.`
  const where = `${part}${error.instancePath.replaceAll('/', '.')}`
  const keys =
    'additionalProperties' in error.params && Array.isArray(error.params.additionalProperties)
      ? error.params.additionalProperties
      : []
  return keys.length > 0 ? `${where} has unknown keys: ${keys.join(', ')}.` : `${where} ${error.message}.`
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0

/** Takes back what was converted to a number that is written otherwise: 1.5 is no integer, and an empty text no zero. */
const exact = (given: unknown, converted: unknown): unknown => {
  if (typeof given !== 'object' || given === null || typeof converted !== 'object' || converted === null)
    return converted
  const texts = new Map(Object.entries(given))
  return Object.fromEntries(
    Object.entries(converted).map(([key, value]) => [
      key,
      typeof value === 'number' && String(value) !== texts.get(key) ? texts.get(key) : value,
    ]),
  )
}

/**
 * A check for values from outside, compiled when it is first used: most routes are not, and start-up is quicker so.
 * `convert` takes the texts of a query string or path for numbers where the schema has numbers.
 */
export const createCheck = <S extends TSchema>(schema: S, part: string) => {
  let compiled: ReturnType<typeof Compile<S>> | undefined
  /** Of an empty query: most are. */
  let defaults: Static<S> | undefined
  return (value: unknown, options: { convert?: boolean } = {}): Static<S> => {
    const convert = options.convert === true
    const empty = convert && isEmpty(value)
    if (empty && defaults !== undefined) return defaults
    compiled ??= Compile(schema)
    const candidate: unknown = convert
      ? compiled.Default(empty ? {} : exact(value, compiled.Convert(structuredClone(value))))
      : value
    if (empty && compiled.Check(candidate)) return (defaults = Object.freeze(candidate as Static<S>))
    if (compiled.Check(candidate)) return candidate as Static<S>
    throw new AppError('invalid_request', complain(part, [...compiled.Errors(candidate)]))
  }
}
