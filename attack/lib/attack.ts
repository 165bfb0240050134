import type { Bench } from '../../bench/lib/row.ts'
import type { Chaos } from '../../chaos/lib/trial.ts'
import type { Attack } from './row.ts'
import { openTarget, type Target } from './target.ts'

/** Of the machine's own addresses the one that repositories may be cloned from. */
export const operatorAllows = '127.0.0.2'

/** What the rows of a run share. */
export const createAttack = (settings: Bench & Pick<Chaos, 'size' | 'note'>): Attack => {
  let shared: Promise<Target> | undefined
  return {
    ...settings,
    shared: async () => {
      shared ??= openTarget(settings, {
        flags: ['--allow-origin', 'https://aicm.example.org', '--clone-from', operatorAllows],
      })
      const target = await shared
      await target.renew()
      return target
    },
    own: (options) => openTarget(settings, options),
  }
}
