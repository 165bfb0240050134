import { expect, test } from 'vitest'
import { createSecretBox, deriveKey } from './secret-box.ts'

const key = deriveKey(Buffer.alloc(32, 1), 'test')
const box = createSecretBox(key)

test('what was sealed opens again, looks different each time, and shows nothing', () => {
  const [one, two] = [box.seal('sk-secret', 'a'), box.seal('sk-secret', 'a')]
  expect(one).not.toBe(two)
  expect(Buffer.from(one.slice(3), 'base64url').includes('secret')).toBe(false)
  expect(box.open(one, 'a')).toBe('sk-secret')
})

test('with another key, as another thing, changed anywhere or cut short it does not open', () => {
  const sealed = box.seal('sk-secret', 'a')
  expect(() => createSecretBox(deriveKey(Buffer.alloc(32, 1), 'other')).open(sealed, 'a')).toThrow()
  expect(() => box.open(sealed, 'b')).toThrow()
  expect(() => box.open('sk-secret', 'a')).toThrow()
  for (let at = 3; at < sealed.length - 1; at++) {
    const changed = sealed.slice(0, at) + (sealed[at] === 'A' ? 'B' : 'A') + sealed.slice(at + 1)
    expect(() => box.open(changed, 'a')).toThrow()
    expect(() => box.open(sealed.slice(0, at), 'a')).toThrow()
  }
})
