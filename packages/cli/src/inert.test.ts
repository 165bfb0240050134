import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createInert, inert, inertJson, inertLine } from './inert.ts'

test.each([
  ['plain text\nwith\ttabs, é and 😀', 'plain text\nwith\ttabs, é and 😀'],
  ['\u001b[31mred\u001b[0m', 'red'],
  ['\u001b]52;c;ZXZpbA==\u0007clipboard', 'clipboard'],
  ['\u001b]8;;https://evil.example\u001b\\link\u001b]8;;\u001b\\', 'link'],
  ['\u001bPq#0;2;0;0;0\u001b\\picture', 'picture'],
  ['\u009b2Jcleared', 'cleared'],
  ['\u009d0;title\u009cshown', 'shown'],
  ['over\rwritten', 'overwritten'],
  ['bell\u0007 back\bspace delete\u007f nul\u0000', 'bell backspace delete nul'],
  ['\u001bcreset', 'reset'],
  ['\u001b(Bcharset', 'charset'],
  ['\u001b\u001b[1mtwice', 'twice'],
  ['cut off \u001b[', 'cut off '],
  ['\u001b]0;never ended\nnext line', '\nnext line'],
  ['\u001b[é', 'é'],
])('%j becomes %j', (from, to) => {
  expect(inert(from)).toBe(to)
})

test('a sequence that comes in pieces is removed as in one', () => {
  const clean = createInert()
  expect(['a\u001b', '[3', '1mb\u001b]0;ti', 'tle\u001b', '\\c'].map(clean).join('')).toBe('abc')
})

test('whatever comes in, however cut, nothing comes out that a terminal obeys', () => {
  const hostile = fc.array(
    fc.oneof(fc.constantFrom('\u001b', '[', ']', '\u009b', '\u0007', '\\', '\n', 'm', ';', '1', '\r'), fc.string()),
  )
  fc.assert(
    fc.property(hostile, (pieces) => {
      const clean = createInert()
      const out = pieces.map(clean).join('')
      expect(out).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
      expect(out).toBe(inert(pieces.join('')))
    }),
  )
})

test('text that never had a control character comes through unchanged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      fc.pre(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(text))
      expect(inert(text)).toBe(text)
    }),
  )
})

test('in a line of ours the text of others stays on its line and reads in its true order', () => {
  expect(inertLine('rm -rf / \u202e # sl\u202c\n\n  second')).toBe('rm -rf / # sl second')
})

test('JSON says the same and holds no control character', () => {
  const value = { text: '\u001b[31m\u009b2J\u2028' }
  expect(inertJson(value)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/)
  expect(JSON.parse(inertJson(value))).toEqual(value)
})
