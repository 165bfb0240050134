import { expect, test } from 'vitest'
import { parseDirectives, tokensText } from './directives.ts'

test('the tokens’ text can be computed', () => {
  expect(tokensText(0)).toBe('')
  expect(tokensText(3)).toBe('tok0 tok1 tok2')
})

test('all directives are read, in order', () => {
  const prompt =
    'please @tokens(20,5,3) and @text(a b) @think(4)\n@bash(ls | wc) @write(a/b.txt|x|y) @tool(Read,{"file_path":"/a"}) @error(529,2) @hang @hang(headers) @reset(7) @malformed'
  expect(parseDirectives(prompt)).toEqual([
    { name: 'tokens', count: 20, pace: { delayMs: 5, size: 3 } },
    { name: 'text', text: 'a b' },
    { name: 'think', count: 4 },
    { name: 'tool', tool: 'Bash', input: { command: 'ls | wc', description: 'Run a scripted command' } },
    { name: 'write', path: 'a/b.txt', content: 'x|y' },
    { name: 'tool', tool: 'Read', input: { file_path: '/a' } },
    { name: 'error', status: 529, times: 2 },
    { name: 'hang', after: 'start' },
    { name: 'hang', after: 'headers' },
    { name: 'reset', count: 7 },
    { name: 'malformed' },
  ])
})

test('parentheses nest, or are written with a backslash; what is inside is not read again', () => {
  expect(parseDirectives('@bash(echo $(date))')).toMatchObject([{ input: { command: 'echo $(date)' } }])
  expect(parseDirectives('@text(a \\) b)')).toEqual([{ name: 'text', text: 'a ) b' }])
  expect(parseDirectives('@tool(Agent,{"prompt":"x @text(inner)"}) @text(outer)')).toMatchObject([
    { tool: 'Agent', input: { prompt: 'x @text(inner)' } },
    { text: 'outer' },
  ])
})

test('what only looks like a directive is a prompt for people', () => {
  expect(parseDirectives('mail me@text(x), use @tokens or @hanging, @unknown(1)')).toEqual([])
})

test.each([
  ['@tokens(x)', '@tokens'],
  ['@tokens(1,2,3,4)', '1 to 3'],
  ['@tool(Read,{bad})', 'not a JSON object'],
  ['@tool(,{})', 'expected (Name,{json})'],
  ['@write(no bar)', 'path|content'],
  ['@error(200)', 'between 400 and 599'],
  ['@hang(now)', 'expected nothing'],
  ['@text(open', 'closing parenthesis'],
])('%s is refused with the reason', (prompt, reason) => {
  expect(() => parseDirectives(prompt)).toThrow(reason)
})
