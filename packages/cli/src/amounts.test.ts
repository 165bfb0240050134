import { expect, test } from 'vitest'
import { amountText, changeAmounts } from './amounts.ts'

const kinds = { names: ['bytes', 'files'] as const, inBytes: ['bytes'] as const }

test('what is said is changed, and the rest stays', () => {
  const was = { bytes: 5, files: null }
  expect(changeAmounts(kinds, was, ['files=7'])).toEqual({ bytes: 5, files: 7 })
  expect(changeAmounts(kinds, was, ['bytes=1.5G', 'files=default'])).toEqual({ bytes: 1.5 * 2 ** 30 })
  expect(changeAmounts(kinds, was, ['bytes=off', 'bytes=2k'])).toEqual({ bytes: 2048, files: null })
  expect(was).toEqual({ bytes: 5, files: null })
})

test('what sets nothing is refused, with what there is', () => {
  for (const said of ['', 'bytes', 'bytes=', 'bytes=-1', 'bytes=1x', 'bytes=offg', 'files=1k', 'disks=1', 'bytes=1 g'])
    expect(() => changeAmounts(kinds, {}, ['files=1', said]), said).toThrow(`"${said}" sets nothing.`)
})

test('amounts are shown as they are written', () => {
  for (const text of ['off', '0', '1023', '1k', '1.5m', '50g', '2t']) {
    const { bytes = 0 } = changeAmounts(kinds, {}, [`bytes=${text}`])
    expect(amountText(kinds, 'bytes', bytes)).toBe(text)
  }
  expect(amountText(kinds, 'files', 4096)).toBe('4096')
})
