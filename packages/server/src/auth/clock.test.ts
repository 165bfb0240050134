import { expect, test } from 'vitest'
import { createTickets } from './tickets.ts'
import { createAccessTokens } from './tokens.ts'

const hour = 3600_000
const start = Date.parse('2026-11-25T12:00:00Z')

for (const jump of [2 * hour, -2 * hour])
  test(`a clock that jumps by ${jump / hour} hours logs nobody out`, async () => {
    let now = start
    const clock = { now: () => now }
    const tokens = createAccessTokens(new Uint8Array(32), clock)
    const { token } = await tokens.issue('usr_1')
    now += jump
    expect(await tokens.verify(token)).toMatchObject({ userId: 'usr_1' })
    // Another server, which has not seen it before.
    expect(await createAccessTokens(new Uint8Array(32), clock).verify(token)).toMatchObject({ userId: 'usr_1' })
    now -= jump
    expect(await tokens.verify(token)).toMatchObject({ userId: 'usr_1' })
  })

test('a ticket still works once only, whatever the clock does, and a new one after a jump works', () => {
  let now = start
  const tickets = createTickets({ now: () => now })
  const identity = { userId: 'usr_1', expiresAt: start + 12 * hour }
  const { ticket } = tickets.issue(identity)
  now -= 2 * hour
  expect(tickets.redeem(ticket)).toEqual(identity)
  expect(() => tickets.redeem(ticket)).toThrow('was used')
  expect(tickets.redeem(tickets.issue(identity).ticket)).toEqual(identity)
  now += 4 * hour
  expect(tickets.redeem(tickets.issue(identity).ticket)).toEqual(identity)
})
