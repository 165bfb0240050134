import { expect, test } from 'vitest'
import type { Identity } from './identity.ts'
import { createTickets } from './tickets.ts'

const of = (userId: string): Identity => ({ userId, grant: { kind: 'login', id: 'lgn_1' }, expiresAt: 1 })

test("a user who takes ever more tickets spoils his own, and nobody else's", () => {
  const tickets = createTickets({ now: () => 0 })
  const { ticket } = tickets.issue(of('ada'))
  const flood = Array.from({ length: 20_000 }, () => tickets.issue(of('bob')).ticket)
  expect(tickets.redeem(ticket)).toEqual(of('ada'))
  expect(() => tickets.redeem(ticket)).toThrow('was used')
  expect(() => tickets.redeem(flood[0] ?? '')).toThrow('has expired')
  expect(tickets.redeem(flood.at(-1) ?? '')).toEqual(of('bob'))
})
