import { expect, test } from 'vitest'
import { codeOf, makeInert, safeUrl, type HtmlNode } from './safe-markdown.ts'

test.each(['https://example.org/a?b#c', 'http://x', 'mailto:a@b.c'])('%s may be followed', (url) => {
  expect(safeUrl(url)).toBe(url)
})

test.each([
  'javascript:alert(1)',
  'JAVASCRIPT:alert(1)',
  ' java\nscript:alert(1)',
  '\u0001javascript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'file:///etc/passwd',
  '/v1/sessions',
  '//evil.example',
  'https:evil.example',
  'blob:https://x/y',
  '',
])('%j leads nowhere', (url) => {
  expect(safeUrl(url)).toBeUndefined()
})

test('a fenced block is its text and its language', () => {
  const code = {
    type: 'element',
    tagName: 'code',
    properties: { className: ['language-ts'] },
    children: [{ type: 'text', value: 'a\nb\n' }],
  }
  expect(codeOf({ type: 'element', tagName: 'pre', children: [code] })).toEqual({ code: 'a\nb', label: 'ts' })
  expect(codeOf(undefined)).toEqual({ code: '' })
})

const inert = (tagName: string, properties: Record<string, unknown>, children: HtmlNode[] = []) => {
  const tree: HtmlNode = { type: 'root', children: [{ type: 'element', tagName, properties, children }] }
  makeInert(tree)
  return tree.children?.[0]
}
const words = [{ type: 'text', value: 'words' }]

test('links open elsewhere and tell nothing; those that must not be followed are only their words', () => {
  expect(inert('a', { href: 'https://example.org/', onClick: 'x' }, words)).toEqual({
    type: 'element',
    tagName: 'a',
    properties: { href: 'https://example.org/', target: '_blank', rel: ['noopener', 'noreferrer', 'nofollow'] },
    children: words,
  })
  expect(inert('a', { href: 'javascript:alert(1)' }, words)).toMatchObject({ tagName: 'span', properties: {} })
  expect(inert('a', { href: '#user-content-fn-1' }, words)).toMatchObject({ tagName: 'a' })
})

test('an image is a link to it, never loaded', () => {
  const image = inert('img', { src: 'https://example.org/a.png', alt: 'A cat' })
  expect(image).toMatchObject({ tagName: 'a', properties: { href: 'https://example.org/a.png' } })
  expect(image?.children).toEqual([{ type: 'text', value: 'Image: A cat' }])
  expect(inert('img', { src: 'data:image/svg+xml,<svg/>' })).toMatchObject({ tagName: 'span' })
})

test('raw HTML is text, however deep', () => {
  const paragraph = inert('p', {}, [{ type: 'element', tagName: 'em', children: [{ type: 'raw', value: '<script>' }] }])
  expect(paragraph?.children?.[0]?.children).toEqual([{ type: 'text', value: '<script>' }])
})

test('the boxes of a task list are signs with a name', () => {
  expect(inert('input', { type: 'checkbox', checked: true })).toMatchObject({ properties: { ariaLabel: 'Done' } })
  expect(inert('input', { type: 'checkbox' })).toMatchObject({ properties: { ariaLabel: 'To do' } })
})

test('headings rank below the headings of the page', () => {
  expect(['h1', 'h3', 'h4', 'h6'].map((name) => inert(name, {})?.tagName)).toEqual(['h3', 'h5', 'h6', 'h6'])
})
