import { databaseConformance } from '@aicm/testing/conformance'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { cacheDatabase } from '../../cached-database.ts'
import { openSqliteDatabase } from './database.ts'

let root: string
let opened = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'aicm-sqlite-'))
})
afterAll(() => rm(root, { recursive: true }))

const open = () => openSqliteDatabase({ path: join(root, String(opened++), 'aicm.db') })

databaseConformance('sqlite', open)
databaseConformance('sqlite behind the cache', async () => cacheDatabase(await open(), { max: 100 }))
