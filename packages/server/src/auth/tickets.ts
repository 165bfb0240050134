import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import type { Identity } from './identity.ts'
import { createSingleUse } from './single-use.ts'

/** Single-use passes for the WebSocket: a browser cannot send a header with one, and a token must not stand in a URL. */
export type Tickets = {
  issue(identity: Identity): { ticket: string; expiresIn: number }
  /** Throws invalid_ticket. A ticket is used up by this. */
  redeem(ticket: string): Identity
}

const lifeSeconds = 30

export const createTickets = (clock: Clock): Tickets => {
  const open = createSingleUse<Identity>(clock, lifeSeconds * 1000)
  return {
    issue: (identity) => ({ ticket: open.put(identity, identity.userId), expiresIn: lifeSeconds }),
    redeem: (ticket) => {
      const identity = open.take(ticket)
      if (identity === undefined)
        throw new AppError('invalid_ticket', 'This ticket was used, has expired, or never existed.')
      return identity
    },
  }
}
