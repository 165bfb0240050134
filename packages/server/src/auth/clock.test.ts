import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { userRecord } from '@aicm/testing/conformance'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { createAccessChanges } from './access-changes.ts'
import type { Identity } from './identity.ts'
import { createLogins } from './logins.ts'
import { openSigningKeys } from './signing-keys.ts'
import { createTickets } from './tickets.ts'
import { accessLifeSeconds, createAccessTokens } from './tokens.ts'

const hour = 3600_000
const start = Date.parse('2026-11-25T12:00:00Z')
const audit = { record: async () => undefined }

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aicm-clock-'))
})
afterEach(() => rm(dir, { recursive: true }))

for (const jump of [2 * hour, -2 * hour])
  test(`a clock that jumps by ${jump / hour} hours logs nobody out: a refresh is all it takes`, async () => {
    let now = start
    const clock = { now: () => now }
    const database = openMemoryDatabase()
    const user = userRecord()
    await database.users.create(user)
    const open = async () => {
      const keys = await openSigningKeys(dir, { clock, lifeMs: accessLifeSeconds * 1000, audit })
      const accessTokens = createAccessTokens(keys, clock)
      return {
        accessTokens,
        logins: await createLogins(database, { accessTokens, changes: createAccessChanges(), clock, audit, most: 9 }),
      }
    }
    const { accessTokens, logins } = await open()
    const first = await logins.start(user, undefined)
    now += jump
    const second = await logins.refresh(first.refreshToken)
    expect(await accessTokens.verify(second.accessToken)).toMatchObject({ userId: user.id })
    // Another server, which has not seen it before.
    const other = await open()
    expect(await other.accessTokens.verify(second.accessToken)).toMatchObject({ userId: user.id })
    now -= jump
    const third = await other.logins.refresh(second.refreshToken)
    expect(await accessTokens.verify(third.accessToken)).toMatchObject({ userId: user.id })
  })

test('a clock that is set back by two hours does not let in again what was revoked', async () => {
  let now = start
  const clock = { now: () => now }
  const database = openMemoryDatabase()
  const user = userRecord()
  await database.users.create(user)
  const keys = await openSigningKeys(dir, { clock, lifeMs: accessLifeSeconds * 1000, audit })
  const accessTokens = createAccessTokens(keys, clock)
  const deps = { accessTokens, changes: createAccessChanges(), clock, audit, most: 9 }
  const logins = await createLogins(database, deps)
  const { accessToken } = await logins.start(user, undefined)
  const { grant } = await accessTokens.verify(accessToken)
  await logins.revoke(user.id, [grant.id])
  now += hour
  await logins.tidy()
  now -= 2 * hour
  await logins.tidy()
  expect((await createLogins(database, deps)).isRevoked(grant.id)).toBe(true)
})

test('a ticket still works once only, whatever the clock does, and a new one after a jump works', () => {
  let now = start
  const tickets = createTickets({ now: () => now })
  const identity: Identity = { userId: 'usr_1', grant: { kind: 'login', id: 'lgn_1' }, expiresAt: start + 12 * hour }
  const { ticket } = tickets.issue(identity)
  now -= 2 * hour
  expect(tickets.redeem(ticket)).toEqual(identity)
  expect(() => tickets.redeem(ticket)).toThrow('was used')
  expect(tickets.redeem(tickets.issue(identity).ticket)).toEqual(identity)
  now += 4 * hour
  expect(tickets.redeem(tickets.issue(identity).ticket)).toEqual(identity)
})
