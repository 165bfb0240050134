import { afterEach, expect, test, vi } from 'vitest'
import { missingParts, requires } from './requires.ts'

afterEach(() => vi.unstubAllEnvs())

test('a part that AICM_MISSING names is missing, whatever the machine has', () => {
  vi.stubEnv('AICM_MISSING', 'tmux,linux')
  expect(missingParts(['linux'])).toEqual(['linux'])
})

test('where skips are forbidden a missing part is an error that names it', () => {
  vi.stubEnv('AICM_MISSING', 'chromium')
  vi.stubEnv('AICM_FORBID_SKIPS', '1')
  expect(() => requires('chromium')).toThrow('needs chromium')
})

test('what is there is not missing', () => {
  vi.stubEnv('AICM_MISSING', '')
  expect(missingParts([process.platform === 'linux' ? 'linux' : 'git'])).toEqual([])
})
