import { recordings } from '@aicm/testing/recordings'
import { expect, test } from 'vitest'
import type { SessionProcess } from '../process/session-process.ts'
import { createSplitter } from '../process/split-lines.ts'
import { ingest, type Ingested } from './ingest.ts'

/** A process that has ended and had said `text`; it gives so many lines at a time. */
const saying = (text: string, atOnce: number): SessionProcess => ({
  record: { dir: '', identity: { pid: 0, startTime: 0, bootId: '' }, marker: '' },
  write: async () => {},
  output: async function* (from) {
    const lines = createSplitter({ from, maxBytes: 8e6 }).push(Buffer.from(text).subarray(from))
    for (let at = 0; at < lines.length; at += atOnce) yield lines.slice(at, at + atOnce)
  },
  exited: Promise.resolve({ code: 0, signal: null }),
  stop: async () => ({ code: 0, signal: null }),
  stderrTail: async () => '',
  release: () => {},
})

const take = async (text: string, { from = 0, storedTo = 0, atOnce = 3 } = {}): Promise<Ingested[]> => {
  const taken: Ingested[] = []
  const deliver = async (ingested: Ingested): Promise<void> => void taken.push(structuredClone(ingested))
  await ingest({ process: saying(text, atOnce), generation: 1, from, storedTo, deliver })
  return taken
}

const outputs = (taken: Ingested[]) =>
  taken.flatMap(({ parts }) => parts.flatMap((part) => (part.kind === 'output' && !part.seen ? [part.output] : [])))

/** The text of every block that grows, as its deltas make it. */
const grown = (taken: Ingested[]): Map<string, string> => {
  const blocks = new Map<string, string>()
  for (const part of taken.flatMap(({ parts }) => parts)) {
    if (part.kind !== 'delta') continue
    const { block, at, text } = part.delta
    expect(at).toBeLessThanOrEqual(blocks.get(block)?.length ?? 0)
    blocks.set(block, (blocks.get(block) ?? '').slice(0, at) + text)
  }
  return blocks
}

test('whichever delivery was the last that was stored, reading goes on without a gap and nothing comes twice', async () => {
  for (const [name, text] of recordings()) {
    for (const atOnce of [1, 7]) {
      const all = await take(text, { atOnce })
      let checkpoint = 0
      for (const [index, { offset, quiet }] of all.entries()) {
        if (quiet) checkpoint = offset
        const again = await take(text, { from: Math.min(checkpoint, offset), storedTo: offset, atOnce: 5 })
        const where = `${name}, stored to ${offset}`
        expect([...outputs(all.slice(0, index + 1)), ...outputs(again)], where).toEqual(outputs(all))
        // A block that was growing there is whole again.
        const whole = grown(all)
        for (const [block, grownText] of grown(again)) expect(grownText, where).toBe(whole.get(block))
      }
      // From the beginning too, where no checkpoint was kept.
      const last = all.at(-1)?.offset ?? 0
      expect(outputs(await take(text, { storedTo: last })), name).toEqual([])
    }
  }
})

test('what a dead process had begun to say is cut off once, also when its end is read again', async () => {
  // It was killed in the middle of its second answer.
  const text = recordings().get('interrupt') ?? ''
  const partial = (taken: Ingested[]) =>
    outputs(taken).filter(
      (output) => output.kind === 'message' && 'partial' in output.draft && output.draft.partial === true,
    )
  const all = await take(text)
  expect(partial(all)).toHaveLength(1)
  const { offset } = all.at(-1) ?? { offset: 0 }
  expect(partial(await take(text, { storedTo: offset }))).toEqual([])
  expect(partial(await take(text, { from: offset, storedTo: offset }))).toEqual([])
  // All lines were stored, but not what was cut off.
  expect(partial(await take(text, { storedTo: all.at(-2)?.offset }))).toHaveLength(1)
})
