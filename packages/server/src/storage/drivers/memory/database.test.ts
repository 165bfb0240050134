import { databaseConformance } from '@aicm/testing/conformance'
import { cacheDatabase } from '../../cached-database.ts'
import { openMemoryDatabase } from './database.ts'

databaseConformance('memory', async () => openMemoryDatabase())
databaseConformance('memory behind a cache of two', async () => cacheDatabase(openMemoryDatabase(), { max: 2 }))
