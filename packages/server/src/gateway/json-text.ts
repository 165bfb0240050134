import { AppError } from '../lib/app-error.ts'

/** Deeper than anything sensible, shallow enough for every recursion that a value meets later. */
const maxDepth = 64

const marks = { quote: 34, comma: 44, backslash: 92, openArray: 91, closeArray: 93, openObject: 123, closeObject: 125 }

/** The place of the quote that ends the string that begins at `start`; the text's end where none does. */
const endOfString = (text: string, start: number): number => {
  let end = start
  while ((end = text.indexOf('"', end + 1)) >= 0) {
    let before = end
    while (text.charCodeAt(before - 1) === marks.backslash) before -= 1
    if ((end - before) % 2 === 0) return end
  }
  return text.length
}

/** A key as its reader will see it: `"\u0061"` is another way to write `"a"`. */
const keyOf = (written: string): string => {
  if (!written.includes('\\')) return written
  try {
    return String(JSON.parse(`"${written}"`))
  } catch {
    // Whoever parses the whole will say so.
    return written
  }
}

/**
 * Throws invalid_json for what two readers may understand in two ways, a key that stands twice in one object, and for what
 * would break whoever handles it later: nested too deep, or with `__proto__` as a key. Looked at before the text is parsed;
 * whether it is JSON at all is the parser's affair.
 */
export const refuseHostileJson = (text: string): void => {
  /** The keys so far of each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = []
  let keyNext = false

  const enter = (keys: Set<string> | undefined): void => {
    if (open.push(keys) > maxDepth)
      throw new AppError('invalid_json', `The JSON is nested more than ${maxDepth} levels deep.`)
    keyNext = keys !== undefined
  }

  for (let at = 0; at < text.length; at++)
    switch (text.charCodeAt(at)) {
      case marks.quote: {
        const end = endOfString(text, at)
        if (keyNext) {
          const key = keyOf(text.slice(at + 1, end))
          const keys = open.at(-1)
          if (key === '__proto__' || keys?.has(key) === true)
            throw new AppError('invalid_json', `The key ${JSON.stringify(key.slice(0, 100))} must not stand there.`)
          keys?.add(key)
        }
        keyNext = false
        at = end
        break
      }
      case marks.openObject:
        enter(new Set())
        break
      case marks.openArray:
        enter(undefined)
        break
      case marks.closeObject:
      case marks.closeArray:
        open.pop()
        keyNext = false
        break
      case marks.comma:
        keyNext = open.at(-1) !== undefined
        break
      default:
    }
}
