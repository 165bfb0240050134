import { expect, test } from 'vitest'
import { fromFolder } from './folder.ts'

test('paths inside the folder are told from there, others stay', () => {
  expect(fromFolder('/srv/shop/src/a.ts', '/srv/shop')).toBe('src/a.ts')
  expect(fromFolder('cat /srv/shop/a /srv/shop/b', '/srv/shop/')).toBe('cat a b')
  expect(fromFolder('/srv/shopping/a', '/srv/shop')).toBe('/srv/shopping/a')
  expect(fromFolder('/etc/passwd', undefined)).toBe('/etc/passwd')
  expect(fromFolder('/etc/passwd', '/')).toBe('/etc/passwd')
})
