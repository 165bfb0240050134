import type { FastifyInstance } from 'fastify'
import { refuseHostileJson } from '../json-text.ts'

/** JSON is the only body there is; an empty one counts as none. */
export const acceptJsonOnly = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = body.toString()
    if (text === '') return done(null, undefined)
    refuseHostileJson(text)
    return parse(request, text, done)
  })
}
