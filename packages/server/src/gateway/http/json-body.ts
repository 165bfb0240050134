import type { FastifyInstance } from 'fastify'
import { refuseDeepJson } from '../json-depth.ts'

/** JSON is the only body there is; an empty one counts as none. */
export const acceptJsonOnly = (app: FastifyInstance): void => {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = body.toString()
    if (text === '') return done(null, undefined)
    refuseDeepJson(text)
    return parse(request, text, done)
  })
}
