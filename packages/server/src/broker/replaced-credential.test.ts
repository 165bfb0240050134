import { createSecretBox, openBroker, openRenewed } from '@aicm/broker'
import { tempDir } from '@aicm/testing/temp-dir'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { openMemoryDatabase } from '../storage/drivers/memory/database.ts'
import { createBrokerProcess } from './broker-process.ts'
import { createCredentials } from './credentials.ts'

const log = pino({ level: 'silent' })
const sealKey = Buffer.alloc(32, 7)
const tokensOf = (name: string) => ({ accessToken: `access-${name}`, refreshToken: `refresh-${name}`, expiresAt: 1 })

/** A broker with one subscription, and what the server has of it. */
const open = async (dir: string) => {
  const credentials = createCredentials(openMemoryDatabase().credentials, {
    ...{ box: createSecretBox(Buffer.alloc(32, 8)), upstream: 'http://127.0.0.1:9', clock: systemClock, log },
    oauth: { tokenUrl: 'http://127.0.0.1:9/token', clientId: 'client' },
  })
  const broker = await openBroker({ dir })
  if (broker === null) throw new Error('there was a broker already')
  const process = createBrokerProcess({
    ...{ dir, main: '', extraCaCerts: undefined, sealKey, log },
    config: async () => ({
      ...{ mode: 'live', credentials: await credentials.open(), sealKey: sealKey.toString('base64') },
    }),
    onRenewed: credentials.renew,
    takeUsage: async () => {},
    onBreakerChange: () => {},
  })
  const record = await credentials.create('usr_1', { kind: 'oauth', refreshToken: 'refresh-given' })
  await process.up()
  const stored = async () => {
    const [credential] = await credentials.open()
    if (credential?.kind !== 'oauth') throw new Error('there is no subscription')
    return credential
  }
  return { ...{ credentials, process, record, stored }, [Symbol.asyncDispose]: () => broker.stop() }
}

test('tokens that were renewed and not collected yet are void when the owner has given others', async () => {
  await using dir = await tempDir()
  await using opened = await open(dir.path)
  const { credentials, process, record, stored } = opened
  const renewed = openRenewed(dir.path, sealKey)
  const { lineage: first } = await stored()
  renewed.keep({ id: record.id, lineage: first }, tokensOf('of-the-first'))
  await credentials.update(record, { refreshToken: 'refresh-second' })
  await process.reconfigure()
  const replaced = await stored()
  expect(replaced).toMatchObject({ accessToken: '', refreshToken: 'refresh-second' })

  // A renewal of the old one that ends after one of the new one takes nothing away either.
  renewed.keep({ id: record.id, lineage: replaced.lineage }, tokensOf('of-the-second'))
  renewed.keep({ id: record.id, lineage: first }, tokensOf('of-the-first'))
  await process.reconfigure()
  expect(await stored()).toMatchObject(tokensOf('of-the-second'))
  expect(renewed.keys()).toEqual([])
})

test('tokens that are renewed again while the server takes the ones before are taken next', async () => {
  await using dir = await tempDir()
  await using opened = await open(dir.path)
  const { process, record, stored } = opened
  const renewed = openRenewed(dir.path, sealKey)
  const key = { id: record.id, lineage: (await stored()).lineage }
  renewed.keep(key, tokensOf('once'))
  expect(renewed.take(key)).toEqual(tokensOf('once'))
  renewed.keep(key, tokensOf('twice'))
  renewed.remove(key)
  await process.reconfigure()
  expect(await stored()).toMatchObject(tokensOf('twice'))
})
