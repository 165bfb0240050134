import fc from 'fast-check'
import { expect, test } from 'vitest'
import { refuseHostileJson } from './json-text.ts'

const refused = (text: string): boolean => {
  try {
    refuseHostileJson(text)
    return false
  } catch {
    return true
  }
}

test('a key that stands twice in one object is refused, however it is written', () => {
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{ "a" : [ ] , "b" : { } , "a" : 0 }',
    '[{"x":{"a":"}","a":1}}]',
    '{"\\"":1,"\\u0022":2}',
    '{"\\\\":1,"\\\\":2}',
  ])
    expect([text, refused(text)]).toEqual([text, true])
})

test('the same key in another object, or the same text as a value, is not', () => {
  for (const text of [
    '{"a":{"a":[{"a":1},{"a":"a"}]},"b":"a"}',
    '{"a":"b","b":"a"}',
    '["a","a"]',
    '{"a":["a","a"],"b":{"a":1}}',
    '{"a\\\\":1,"a":2}',
    '{"a":"\\"","b":",\\"a\\":"}',
  ])
    expect([text, refused(text)]).toEqual([text, false])
})

test('__proto__ is refused as a key at every depth, and is a text like any other elsewhere', () => {
  for (const text of ['{"__proto__":1}', '[{"a":{"\\u005f_proto__":{}}}]'])
    expect([text, refused(text)]).toEqual([text, true])
  expect(refused('{"a":"__proto__","b":["__proto__"]}')).toBe(false)
})

test('64 levels are taken and 65 are not', () => {
  const nested = (depth: number): string => '[{"a":'.repeat(depth / 2) + '1' + '}]'.repeat(depth / 2)
  expect(refused(nested(64))).toBe(false)
  expect(refused(nested(66))).toBe(true)
  expect(refused('['.repeat(100_000))).toBe(true)
})

test('what JSON.stringify writes is taken, whatever is in it', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => {
      fc.pre(!text.includes('__proto__'))
      expect(refused(text)).toBe(false)
    }),
  )
})

test('what is no JSON never breaks it', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ']', ',', ':', 'a', 'u') }), (text) => {
      refused(text)
    }),
  )
})
