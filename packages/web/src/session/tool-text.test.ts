import { expect, test } from 'vitest'
import { inputSections, resultParts, summariseInput } from './tool-text.ts'

test.each([
  [{ command: 'ls -la\n  src', description: 'List' }, 'ls -la src'],
  [{ file_path: '/a/b.ts', old_string: 'x', new_string: 'y' }, '/a/b.ts'],
  [{ pattern: 'TODO', path: 'src' }, 'TODO in src'],
  [{ todos: [{}, {}] }, '2 items'],
  [{ questions: [{ question: 'Which one?' }] }, 'Which one?'],
  [{ anything: 'else' }, 'else'],
  [{ count: 3 }, '{"count":3}'],
  [{}, ''],
  [null, ''],
])('%j is summarised as %s', (input, summary) => {
  expect(summariseInput(input)).toBe(summary)
})

test('input that still grows is summarised from what is there', () => {
  expect(summariseInput('{"command":"npm \\"te')).toBe('npm "te')
  expect(summariseInput('{"comm')).toBe('')
  expect(summariseInput('{"command":"ls"}')).toBe('ls')
})

test('a summary stays on one short line', () => {
  const summary = summariseInput({ command: 'x'.repeat(1000) })
  expect(summary).toHaveLength(400)
  expect(summary.endsWith('…')).toBe(true)
})

test('the whole input is shown: long texts as they are, the rest as JSON', () => {
  expect(inputSections({ file_path: '/a', content: 'one\ntwo', n: 1 })).toEqual([
    { text: JSON.stringify({ file_path: '/a', n: 1 }, null, 2) },
    { label: 'content', text: 'one\ntwo' },
  ])
  expect(inputSections({ command: 'ls' })).toEqual([{ label: 'command', text: 'ls' }])
  expect(inputSections('{"cut')).toEqual([{ text: '{"cut' }])
})

test('results are texts and images, and never dropped', () => {
  expect(resultParts('done')).toEqual([{ kind: 'text', text: 'done' }])
  expect(resultParts([{ type: 'text', text: 'a' }, { type: 'odd' }])).toEqual([
    { kind: 'text', text: 'a' },
    { kind: 'text', text: JSON.stringify({ type: 'odd' }, null, 2) },
  ])
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }
  expect(resultParts([image])).toEqual([{ kind: 'image', src: 'data:image/png;base64,AAAA' }])
  const svg = { type: 'image', source: { type: 'base64', media_type: 'image/svg+xml', data: 'AAAA' } }
  expect(resultParts([svg])[0]?.kind).toBe('text')
  expect(resultParts(undefined)).toEqual([])
})
