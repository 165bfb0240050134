import { requires } from '@aicm/testing/requires'
import { beforeAll, expect } from 'vitest'
import { createScope } from '../bench/lib/scope.ts'
import { runTrial } from '../chaos/lib/run-trial.ts'
import { trials } from '../chaos/trials.ts'
import { builtServer, ensurePrograms } from '../scripts/lib/artifacts.js'

// The short form of `npm run chaos`: what it says about losses, not what it measures.

beforeAll(ensurePrograms, 120_000)

for (const trial of trials) {
  if (trial.counts.test === 0) continue
  const test = trial.name === 'real-cli-kills' ? requires('claude', 'linux') : requires('linux')
  test(`${trial.title}: ${trial.shortLimit ?? trial.limit}`, async () => {
    const scope = createScope()
    const notes: string[] = []
    const note = (text: string): void => void notes.push(text)
    try {
      const settings = { size: 'test' as const, quick: true, seed: Date.now() % 1_000_000, orphans: [] }
      note(`seed ${settings.seed}`)
      const result = await runTrial({ ...settings, scope, serverProgram: builtServer, note }, trial)
      expect(result.problems, notes.join('\n')).toEqual([])
      expect(result.count).toBeGreaterThanOrEqual(trial.counts.test)
    } finally {
      await scope.finish()
    }
  }, 300_000)
}
