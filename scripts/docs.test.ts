import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { withOptions } from './docs.js'
import { root } from './lib/root.js'

test('the README lists the options as they are; else run: npm run docs', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  expect(withOptions(readme)).toBe(readme)
})

test('an outdated table is noticed, and a README without its place is refused', () => {
  const outdated = '# A\n<!-- options -->\n\n| old |\n\n<!-- /options -->\n'
  expect(withOptions(outdated)).toContain('`AICM_PORT`')
  expect(withOptions(outdated)).not.toContain('| old |')
  expect(() => withOptions('# A\n')).toThrow('<!-- options -->')
})
