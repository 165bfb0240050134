import { fields, text, type Fields } from './wire.ts'

/** Lines of streamed text follow each other by thousands and differ in their text and their uuid only. */
export type RepeatedDelta = {
  /** The text of a line that is otherwise the same as the one that was learned; undefined for all others. */
  match(line: string): string | undefined
  /** `value` is what `line` says. */
  learn(line: string, value: Fields): void
  forget(): void
}

/** All of a line but its text and its uuid, in the order in which claude writes them. */
type Shape = { head: string; middle: string; uuidLength: number; tail: string }

const textKeys = ['text', 'thinking', 'partial_json']

const once = (line: string, part: string): number => {
  const at = line.indexOf(part)
  return at >= 0 && line.indexOf(part, at + 1) < 0 ? at : -1
}

/** A string of its own instead of a view of the line: compared with five times as fast. */
const flat = (part: string): string => Buffer.from(part).toString()

const shapeOf = (line: string, value: Fields): Shape | undefined => {
  const delta = fields(fields(value['event'])['delta'])
  const key = textKeys.find((name) => text(delta[name]) !== undefined)
  const uuid = text(value['uuid'])
  if (key === undefined || uuid === undefined) return undefined
  const written = JSON.stringify(delta[key])
  const keyAt = once(line, `"${key}":${written}`)
  const uuidAt = once(line, `"uuid":"${uuid}"`)
  if (keyAt < 0 || uuidAt < keyAt) return undefined
  const start = keyAt + key.length + 4
  const uuidStart = uuidAt + 8
  return {
    head: flat(line.slice(0, start)),
    middle: flat(line.slice(start + written.length - 2, uuidStart)),
    uuidLength: uuid.length,
    tail: flat(line.slice(uuidStart + uuid.length)),
  }
}

/** A part of a long string keeps all of it in memory: this one is copied out. */
const detached = (part: string): string => (part.length < 13 ? part : ` ${part}`.slice(1))

/** Understands such lines by comparing them, at a fifth of what parsing them costs. */
export const createRepeatedDelta = (): RepeatedDelta => {
  let shape: Shape | undefined
  return {
    match: (line) => {
      if (shape === undefined) return undefined
      const { head, middle, uuidLength, tail } = shape
      // Slices, not startsWith: that is slow in a line which is a view of a long text.
      if (line.slice(0, head.length) !== head) return undefined
      const end = line.indexOf('"', head.length)
      const tailAt = end + middle.length + uuidLength
      if (end < 0 || line.length !== tailAt + tail.length) return undefined
      if (line.slice(end, end + middle.length) !== middle || line.slice(tailAt) !== tail) return undefined
      const said = line.slice(head.length, end)
      // With an escape in it, its end may be another, and it must be decoded.
      return said.includes('\\') ? undefined : detached(said)
    },
    learn: (line, value) => {
      shape = shapeOf(line, value)
    },
    forget: () => {
      shape = undefined
    },
  }
}
