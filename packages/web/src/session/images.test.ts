import { expect, test } from 'vitest'
import { imageProblem, promptContent, promptText, readImage, toBase64 } from './images.ts'

test('only images that the API takes can be attached, up to 5 MB', () => {
  expect(imageProblem({ name: 'a.png', type: 'image/png', size: 10 })).toBeUndefined()
  expect(imageProblem({ name: 'a.svg', type: 'image/svg+xml', size: 10 })).toContain('only PNG')
  expect(imageProblem({ name: 'a.png', type: 'image/png', size: 6e6 })).toContain('5.7 MB')
  expect(imageProblem({ name: 'a.png', type: 'image/png', size: 0 })).toContain('empty')
})

test('bytes survive, also more than one chunk of them', () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251)
  expect(Buffer.from(toBase64(bytes), 'base64').equals(Buffer.from(bytes))).toBe(true)
})

test('a prompt is its images and its text, and can be turned back', async () => {
  const image = await readImage(new File([new Uint8Array([1, 2, 3])], 'a.webp', { type: 'image/webp' }), 'x')
  expect(image.block.source).toEqual({ type: 'base64', media_type: 'image/webp', data: 'AQID' })
  const content = promptContent('look at this', [image])
  expect(content.map(({ type }) => type)).toEqual(['image', 'text'])
  expect(promptText(content)).toBe('look at this')
  expect(promptContent('  ', [image])).toHaveLength(1)
})
