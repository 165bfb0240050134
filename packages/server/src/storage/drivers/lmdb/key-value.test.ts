import { keyValueConformance } from '@aicm/testing/conformance'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { openLmdbKeyValue } from './key-value.ts'

let root: string
let opened = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'aicm-lmdb-'))
})
afterAll(() => rm(root, { recursive: true }))

keyValueConformance('lmdb', async () => openLmdbKeyValue({ path: join(root, String(opened++)) }))
