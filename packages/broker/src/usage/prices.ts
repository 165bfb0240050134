import { amount, InvalidConfig, onlyKeys, record } from '../parse.ts'

/** Tokens of one call, by kind. `cacheWrite` includes `cacheWriteHour`, those that are kept for an hour. */
export type Tokens = {
  input: number
  output: number
  cacheRead: number
  cacheWrite: number
  cacheWriteHour: number
  webSearches: number
}

export const noTokens: Tokens = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0, webSearches: 0 }

/** USD per million tokens. What is left out follows from `input`, as the API's list does: ×1.25, ×2 and ×0.1. */
export type Price = { input: number; output: number; cacheWrite?: number; cacheWriteHour?: number; cacheRead?: number }

/** By the beginning of a model's name, without what comes before `claude-`; the longest that fits counts. */
export type PriceTable = Readonly<Record<string, Price>>

/**
 * List prices as of November 2026 (platform.claude.com/docs/en/about-claude/pricing). Surcharges for long contexts, fast modes
 * or regions are not in it, nor discounts: `--prices FILE` says otherwise.
 */
export const builtInPrices: PriceTable = {
  'claude-fable-5-1': { input: 10, output: 50, cacheRead: 0.25 },
  'claude-fable-5': { input: 10, output: 50 },
  'claude-mythos-5-1': { input: 10, output: 50, cacheRead: 0.25 },
  'claude-mythos-5': { input: 10, output: 50 },
  'claude-opus-5-5': { input: 4, output: 20, cacheRead: 0.2 },
  'claude-opus-5': { input: 5, output: 25 },
  'claude-opus-4-8': { input: 5, output: 25 },
  'claude-opus-4-7': { input: 5, output: 25 },
  'claude-opus-4-6': { input: 5, output: 25 },
  'claude-opus-4-5': { input: 5, output: 25 },
  'claude-opus-4': { input: 15, output: 75 },
  'claude-3-opus': { input: 15, output: 75 },
  'claude-sonnet-5-5': { input: 2, output: 10, cacheRead: 0.1 },
  'claude-sonnet-5': { input: 2, output: 10 },
  'claude-sonnet-4': { input: 3, output: 15 },
  'claude-3-7-sonnet': { input: 3, output: 15 },
  'claude-3-5-sonnet': { input: 3, output: 15 },
  'claude-haiku-5-5': { input: 0.5, output: 2.5 },
  'claude-haiku-4-5': { input: 1, output: 5 },
  'claude-3-5-haiku': { input: 0.8, output: 4 },
  'claude-3-haiku': { input: 0.25, output: 1.25, cacheWrite: 0.3, cacheWriteHour: 0.5, cacheRead: 0.03 },
}

const webSearchUsd = 0.01

/** `known` is false where the table has no such model: then it costs as much as the dearest, so that a budget holds. */
export type Cost = { usd: number; known: boolean }

export type Pricing = {
  cost(model: string, tokens: Tokens): Cost
  /** What a request of so many bytes costs at the very least, were all of it read from the cache: known before it is sent. */
  least(model: string, bytes: number): { usd: number; tokens: number }
}

/** A token is hardly ever more than this many bytes of text; an image's base64 is, and is not counted beyond `mostTokens`. */
const bytesOfToken = 8
const mostTokens = 200_000

export const createPricing = (overrides: PriceTable = {}): Pricing => {
  const table: PriceTable = { ...builtInPrices, ...overrides }
  const names = Object.keys(table).sort((a, b) => b.length - a.length)
  const dearest = Object.values(table).reduce((a, b) => (b.output > a.output ? b : a))

  const find = (model: string): Price | undefined => {
    const bare = model.slice(Math.max(0, model.indexOf('claude-')))
    const name = names.find((beginning) => bare.startsWith(beginning))
    return name === undefined ? undefined : table[name]
  }

  return {
    cost: (model, tokens) => {
      const found = find(model)
      const { input, output, ...rest } = found ?? dearest
      const { cacheWrite = input * 1.25, cacheWriteHour = input * 2, cacheRead = input * 0.1 } = rest
      const micro =
        tokens.input * input +
        tokens.output * output +
        tokens.cacheRead * cacheRead +
        (tokens.cacheWrite - tokens.cacheWriteHour) * cacheWrite +
        tokens.cacheWriteHour * cacheWriteHour
      return { usd: micro / 1_000_000 + tokens.webSearches * webSearchUsd, known: found !== undefined }
    },
    least: (model, bytes) => {
      const { input, cacheRead = input * 0.1 } = find(model) ?? dearest
      return { usd: (Math.min(bytes / bytesOfToken, mostTokens) * cacheRead) / 1_000_000, tokens: 1 }
    },
  }
}

/** Throws InvalidConfig. */
export const parsePrices = (value: unknown): PriceTable =>
  Object.fromEntries(
    Object.entries(record(value, 'prices')).map(([model, given]) => {
      const price = record(given, `the price of ${model.slice(0, 80)}`)
      onlyKeys(price, ['input', 'output', 'cacheWrite', 'cacheWriteHour', 'cacheRead'])
      if (price.input === undefined || price.output === undefined)
        throw new InvalidConfig(`the price of ${model.slice(0, 80)} needs input and output`)
      const numbers = Object.entries(price).map(([kind, usd]) => [kind, amount(usd, `prices: ${kind}`)])
      return [model, Object.fromEntries(numbers) as Price]
    }),
  )
