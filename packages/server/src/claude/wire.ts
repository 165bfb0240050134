/**
 * Reading claude's JSON leniently: it is another program's, its shape changes between versions, and nothing it says may
 * throw here. Message types: `sdk.d.ts` of @anthropic-ai/claude-agent-sdk.
 */
export type Fields = { readonly [key: string]: unknown }

const none: Fields = {}

export const fields = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : none

export const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

export const number = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined

export const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

export const texts = (value: unknown): string[] => list(value).filter((item) => typeof item === 'string')

/** What is nested deeper cannot be written as JSON again: the stack of JSON.stringify ends at some 4000 levels. */
const maxDepth = 500

const deeperThan = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((inner) => deeperThan(inner, levels - 1)))

/** A line's JSON object; undefined when it is none that can be stored. */
/** Undefined for what is no object. A thrown error costs far more than a line: 50 MB of noise took 18 s, not 2. */
export const parseObject = (line: string): Fields | undefined => {
  if (!/^\s*\{/.test(line)) return undefined
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return line.length > 2 * maxDepth && deeperThan(value, maxDepth) ? undefined : fields(value)
}
