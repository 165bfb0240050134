import type { FastifyInstance } from 'fastify'
import { AppError } from '../../lib/app-error.ts'

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

/** JSON is the only body there is; an empty one counts as none. */
export const acceptJsonOnly = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = body.toString()
    if (text === '') return done(null, undefined)
    if (depthOf(text) > maxDepth)
      return done(new AppError('invalid_json', `The body is nested more than ${maxDepth} levels deep.`))
    return parse(request, text, done)
  })
}
