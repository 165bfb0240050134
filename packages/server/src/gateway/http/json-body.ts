import type { FastifyInstance } from 'fastify'
import { refuseHostileJson } from '../json-text.ts'

/** For one route that takes a file: nothing else, and read by whoever handles it. */
export const acceptBytesOnly = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/octet-stream', (_, body, done) => done(null, body))
}

/** Elsewhere JSON is the only body there is; an empty one counts as none. */
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
