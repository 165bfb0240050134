import { AppError } from '../lib/app-error.ts'

/** Deeper than anything sensible, shallow enough for every recursion that a value meets later. */
const maxDepth = 64

const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (quoted) {
      if (code === 92) at++
      else if (code === 34) quoted = false
    } else if (code === 34) quoted = true
    else if (code === 91 || code === 123) deepest = Math.max(deepest, ++depth)
    else if (code === 93 || code === 125) depth--
  }
  return deepest
}

/** Throws invalid_json. Looked at before the text is parsed: what is too deep would break whoever handles it later. */
export const refuseDeepJson = (text: string): void => {
  if (depthOf(text) > maxDepth)
    throw new AppError('invalid_json', `The JSON is nested more than ${maxDepth} levels deep.`)
}
