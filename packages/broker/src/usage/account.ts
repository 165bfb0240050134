import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { SessionIdentity } from '../token.ts'
import { findExceeded, reserve, type Budgets, type Exceeded, type Reserved } from './budgets.ts'
import type { DraftEntry } from './entry.ts'
import type { Ledger } from './ledger.ts'
import { createMeter } from './meter.ts'
import type { Pricing } from './prices.ts'

/** A call that a budget has room for. */
export type OpenCall = {
  /** The upstream answers: looks at the answer as it passes. */
  answered(answer: IncomingMessage, credentialId: string): void
  /** It is over: what it has set aside is given back, and what it cost is counted. */
  close(complete: boolean): void
}

export type Account = { open(identity: SessionIdentity, request: { head: Buffer; bytes: number }): OpenCall | Exceeded }

/** The model's name is among the first things of a request; where it is not, the dearest is taken. */
const modelIn = (head: Buffer): string =>
  /"model"\s*:\s*"([^"\\]{1,128})"/.exec(head.toString('latin1', 0, 4096))?.[1] ?? ''

export const createAccount = (parts: {
  budgets: Budgets
  pricing: Pricing
  ledger: Ledger
  /** Of all calls under way; it outlives a new configuration, and so this account. */
  reserved: Reserved
}): Account => ({
  open: (who, { head, bytes }) => {
    const { budgets, pricing, ledger, reserved } = parts
    const time = Date.now()
    const begun = performance.now()
    const askedModel = modelIn(head)
    const least = pricing.least(askedModel, bytes)
    const exceeded = findExceeded({ budgets, sums: ledger.sums, reserved, who, least, now: time })
    if (exceeded !== undefined) return exceeded
    const giveBack = reserve(reserved, who, least, time)
    const call = randomUUID()
    let answer:
      | { status: number; credentialId: string; firstByteMs: number | null; meter: ReturnType<typeof createMeter> }
      | undefined

    let closed = false
    const close: OpenCall['close'] = (complete) => {
      if (closed) return
      closed = true
      giveBack()
      const draft = entry(complete ? 'complete' : 'cut')
      if (draft !== undefined) ledger.end(call, draft)
    }
    const entry = (end: DraftEntry['end']): DraftEntry | undefined => {
      if (answer === undefined) return undefined
      const cut = end === 'cut'
      const metered = answer.meter.metered(cut)
      const cost = metered && pricing.cost(metered.model, metered.tokens)
      // An answer that does not say what it used, and should have, cost no less than it had to.
      const silent = metered === undefined && answer.status === 200
      return {
        time,
        ...who,
        credentialId: answer.credentialId,
        model: metered?.model ?? (askedModel || 'unknown'),
        inputTokens: metered?.tokens.input ?? 0,
        outputTokens: metered?.tokens.output ?? 0,
        cacheReadTokens: metered?.tokens.cacheRead ?? 0,
        cacheWriteTokens: metered?.tokens.cacheWrite ?? 0,
        costUsd: cost?.usd ?? (silent ? least.usd : 0),
        priced: cost === undefined ? !silent : cost.known && !cut,
        status: answer.status,
        end,
        firstByteMs: answer.firstByteMs,
        ms: Math.round(performance.now() - begun),
      }
    }

    return {
      answered: (incoming, credentialId) => {
        const meter = createMeter(incoming.headers['content-type'] ?? '', () => {
          // Killed from here on, the next broker counts it as far as it is known now.
          const draft = entry('cut')
          if (draft !== undefined) ledger.begin(call, draft)
        })
        const now: NonNullable<typeof answer> = {
          status: incoming.statusCode ?? 502,
          credentialId,
          firstByteMs: null,
          meter,
        }
        answer = now
        incoming.on('data', (chunk: Buffer) => {
          now.firstByteMs ??= Math.round(performance.now() - begun)
          meter.take(chunk)
        })
        // Before the child has the end of it: its next call comes after this one was counted.
        incoming.once('end', () => close(true))
      },
      close,
    }
  },
})
