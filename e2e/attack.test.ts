import { requires } from '@aicm/testing/requires'
import { afterAll, beforeAll, expect } from 'vitest'
import { createAttack } from '../attack/lib/attack.ts'
import type { Attack } from '../attack/lib/row.ts'
import { runRow } from '../attack/lib/run-row.ts'
import { rows } from '../attack/rows.ts'
import { createScope } from '../bench/lib/scope.ts'
import { builtServer, ensurePrograms } from '../scripts/lib/artifacts.js'

// The short form of `npm run attack`.

/** What a row needs besides. */
const parts: Partial<Record<string, Parameters<typeof requires>>> = {
  jwt: ['python3-jwt'],
  peers: ['chromium', 'curl', 'python3-websockets'],
  'file-race': ['bwrap', 'prlimit'],
  inert: ['chromium'],
  tls: ['openssl'],
  repository: ['git'],
  urls: ['git'],
  sealed: ['bwrap', 'curl'],
  sandbox: ['bwrap', 'curl'],
  process: ['curl', 'prlimit'],
  broker: ['curl'],
}

const scope = createScope()
const notes: string[] = []
let attack: Attack

beforeAll(() => {
  ensurePrograms()
  const note = (text: string): void => void notes.push(text)
  attack = createAttack({ scope, quick: true, serverProgram: builtServer, size: 'test', note })
}, 120_000)
afterAll(() => scope.finish())

for (const row of rows) {
  if (row.slow === true) continue
  requires('claude', 'linux', ...(parts[row.name] ?? []))(
    `${row.title}: ${row.expected}`,
    async () => {
      const { attempts } = await runRow(attack, row)
      expect(attempts.length).toBeGreaterThan(0)
      expect(
        attempts.filter(({ ok }) => !ok),
        notes.join('\n'),
      ).toEqual([])
    },
    120_000,
  )
}
