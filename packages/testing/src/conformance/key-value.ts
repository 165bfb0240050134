import type { Json, KeyValueStore } from '@aicm/server/storage/key-value-store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

/** What every driver of the key-value contract promises. `open` gives an empty store; the test that asked for it closes it. */
export const keyValueConformance = (name: string, open: () => Promise<KeyValueStore>): void => {
  describe(name, () => {
    test.each<[string, Json]>([
      ['null', null],
      ['false', false],
      ['a number', 0.1],
      ['text', 'naïve 🦊 \u0000'],
      ['an empty text', ''],
      ['a list', [1, 'two', null]],
      ['an object', { a: { b: [true] } }],
      ['a megabyte', 'x'.repeat(1_000_000)],
    ])('%s is read back exactly', async (_, value) => {
      await using store = await open()
      await store.put('key', value)
      expect(await store.get('key')).toEqual(value)
    })

    test('an unknown key is undefined, and so is a deleted one', async () => {
      await using store = await open()
      expect(await store.get('key')).toBeUndefined()
      await store.put('key', 1)
      await store.delete('key')
      await store.delete('never there')
      expect(await store.get('key')).toBeUndefined()
      expect(await store.list('')).toEqual([])
    })

    test('the last of several writes counts, also when they are not awaited one by one', async () => {
      await using store = await open()
      await Promise.all([
        store.put('a', 1),
        store.put('a', 2),
        store.put('b', 1),
        store.delete('b'),
        store.delete('c'),
        store.put('c', 3),
      ])
      expect(await store.list('')).toEqual([
        { key: 'a', value: 2 },
        { key: 'c', value: 3 },
      ])
    })

    test('what the caller changes after put has been called is not stored, nor what a reader changes', async () => {
      await using store = await open()
      const value = { list: [1] }
      const put = store.put('key', value)
      value.list.push(2)
      await put
      const read = await store.get('key')
      if (typeof read === 'object' && read !== null && !Array.isArray(read)) read.list = 'changed'
      expect(await store.get('key')).toEqual({ list: [1] })
    })

    test('a list has the keys of its prefix, in order', async () => {
      await using store = await open()
      for (const key of ['process/b', 'process/a', 'process', 'processes/a', 'cursor/a', 'process/a/1'])
        await store.put(key, key)
      const keys = async (prefix: string) => (await store.list(prefix)).map(({ key }) => key)
      expect(await keys('process/')).toEqual(['process/a', 'process/a/1', 'process/b'])
      expect(await keys('nothing/')).toEqual([])
      expect(await keys('')).toEqual(['cursor/a', 'process', 'process/a', 'process/a/1', 'process/b', 'processes/a'])
    })

    test.each([
      ['an empty one', ''],
      ['one of more than 1,000 bytes', 'é'.repeat(501)],
      ['one that is not Unicode text', 'a\ud800'],
    ])('a key must be storable everywhere, so %s is refused', async (_, key) => {
      await using store = await open()
      await expect(store.put(key, 1)).rejects.toMatchObject({ code: 'internal' })
      await expect(store.get(key)).rejects.toMatchObject({ code: 'internal' })
      await expect(store.delete(key)).rejects.toMatchObject({ code: 'internal' })
    })

    test('after closing, everything is refused', async () => {
      const store = await open()
      await store[Symbol.asyncDispose]()
      await expect(store.put('key', 1)).rejects.toMatchObject({ code: 'storage_unavailable' })
      await expect(store.get('key')).rejects.toMatchObject({ code: 'storage_unavailable' })
      await expect(store.list('')).rejects.toMatchObject({ code: 'storage_unavailable' })
      await store[Symbol.asyncDispose]()
    })

    test('any puts and deletes leave what the last of each key said', async () => {
      await using store = await open()
      const change = fc.record({
        key: fc.stringMatching(/^[a-c]\/[0-9é🦊]{0,2}$/u),
        value: fc.option(fc.jsonValue({ maxDepth: 2 })),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (changes) => {
          for (const { key } of await store.list('')) await store.delete(key)
          const expected = new Map<string, unknown>()
          for (const { key, value } of changes) {
            const stored: Json = JSON.parse(JSON.stringify(value))
            if (stored === null) expected.delete(key)
            else expected.set(key, stored)
          }
          await Promise.all(
            changes.map(({ key, value }) =>
              value === null ? store.delete(key) : store.put(key, JSON.parse(JSON.stringify(value))),
            ),
          )
          const found = await store.list('')
          expect(new Map(found.map(({ key, value }) => [key, value]))).toEqual(expected)
          expect(found.map(({ key }) => key)).toEqual(
            [...expected.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
          )
        }),
        { numRuns: 30 },
      )
    })
  })
}
