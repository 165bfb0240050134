import { randomBytes } from 'node:crypto'
import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import type { Identity } from './identity.ts'

/** Single-use passes for the WebSocket: a browser cannot send a header with one, and a token must not stand in a URL. */
export type Tickets = {
  issue(identity: Identity): { ticket: string; expiresIn: number }
  /** Throws invalid_ticket. A ticket is used up by this. */
  redeem(ticket: string): Identity
}

const lifeSeconds = 30
const maxOpen = 10_000

export const createTickets = (clock: Clock): Tickets => {
  const open = new Map<string, { identity: Identity; until: number }>()
  return {
    issue: (identity) => {
      const now = clock.now()
      for (const [ticket, { until }] of open) {
        if (until > now && open.size < maxOpen) break
        open.delete(ticket)
      }
      const ticket = randomBytes(24).toString('base64url')
      open.set(ticket, { identity, until: now + lifeSeconds * 1000 })
      return { ticket, expiresIn: lifeSeconds }
    },
    redeem: (ticket) => {
      const found = open.get(ticket)
      open.delete(ticket)
      if (found === undefined || found.until <= clock.now())
        throw new AppError('invalid_ticket', 'This ticket was used, has expired, or never existed.')
      return found.identity
    },
  }
}
