import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { routes, type Permission } from '@aicm/protocol'
import type { Asker, OpenFile } from '../../../files/files.ts'
import { assertMatches, isNamed } from '../../../files/preconditions.ts'
import { AppError } from '../../../lib/app-error.ts'
import { workspaceOf, type Caller } from '../../access.ts'
import type { Services } from '../../services.ts'
import { attachment } from '../attachment.ts'
import { recordAct } from '../audit.ts'
import { bytesOnly } from '../errors.ts'
import { rangeOf, type Range } from '../range.ts'
import { streamed, type Register } from '../register.ts'

type Call = { user: Caller; params: { id: string }; reply: FastifyReply }

const askerOf = async (services: Services, { user, params, reply }: Call, permission: Permission): Promise<Asker> => {
  const workspace = await workspaceOf(services, user, params.id, permission)
  if (workspace.status !== 'ready')
    throw new AppError('workspace_not_ready', `The workspace is ${workspace.status}: it has no files yet.`)
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  if (reply.raw.destroyed) gone.abort()
  return { workspace, userId: user.id, signal: gone.signal }
}

/** A path is one text, whoever reads it: neither half a character nor bytes that are none. */
const assertText = (path: string): string => {
  if (path.isWellFormed()) return path
  throw new AppError('invalid_request', 'The path is no text.')
}

/** The result is used: a bundler takes a call for its exception alone for one without effect. */
const isEncoded = (url: string): boolean => {
  try {
    return decodeURIComponent(url) !== ''
  } catch {
    return false
  }
}

/** What the parser of the query has not understood, it has left as it stood. */
const pathIn = ({ url }: FastifyRequest, path = ''): string => {
  if (isEncoded(url)) return assertText(path)
  throw new AppError('invalid_request', 'The path is not encoded as UTF-8.')
}

/** It is for saving: no browser shows it, or runs anything in it, whatever it is. */
const headersOf = ({ etag, modifiedAt }: OpenFile['entry'], path: string) => ({
  'content-type': 'application/octet-stream',
  'content-disposition': attachment(path.slice(path.lastIndexOf('/') + 1)),
  'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'accept-ranges': 'bytes',
  'last-modified': new Date(modifiedAt).toUTCString(),
  etag,
})

const preconditionsIn = ({ headers }: FastifyRequest) => ({
  ifMatch: headers['if-match'],
  ifNoneMatch: headers['if-none-match'],
})

/** The part of the file that is to be sent: undefined where the reader has it already. */
const partOf = (
  { headers }: FastifyRequest,
  reply: FastifyReply,
  { size, etag }: OpenFile['entry'],
): Range | undefined => {
  assertMatches(headers['if-match'], etag)
  if (isNamed(headers['if-none-match'], etag)) {
    reply.code(304)
    return undefined
  }
  const range = rangeOf(headers, { size, etag })
  if (range !== undefined)
    reply.header('content-range', `bytes ${range === 'unsatisfiable' ? '*' : `${range.start}-${range.end}`}/${size}`)
  if (range === 'unsatisfiable')
    throw new AppError('range_not_satisfiable', `The file has ${size} bytes: there are none in that range.`)
  if (range !== undefined) reply.code(206)
  return range ?? { start: 0, end: size - 1 }
}

export const registerFiles = (register: Register, services: Services): void => {
  const { files } = services

  register(routes.files.list, async (call) => {
    const asker = await askerOf(services, call, routes.files.list.auth)
    const { path, limit = 200, cursor } = call.query
    return files.list(asker, { path: pathIn(call.request, path), limit, ...(cursor !== undefined && { cursor }) })
  })

  register(routes.files.read, async (call) => {
    const { request, reply } = call
    const path = pathIn(request, call.query.path)
    const file = await files.open(await askerOf(services, call, routes.files.read.auth), path)
    await using stack = new AsyncDisposableStack()
    stack.use(file)
    const part = partOf(request, reply, file.entry)
    await recordAct(services, 'files.read', { request, answer: undefined })
    reply.headers(headersOf(file.entry, path))
    if (part === undefined) {
      void reply.send()
      return streamed
    }
    const length = part.end - part.start + 1
    reply.header('content-length', length)
    if (request.method === 'HEAD') void reply.send(Readable.from([]))
    else {
      stack.move()
      void reply.send(Readable.from(file.read(part.start, length), { objectMode: false }))
    }
    return streamed
  })

  register(routes.files.write, async (call) => {
    const { request, reply } = call
    const { body, headers } = request
    try {
      const path = pathIn(request, call.query.path)
      const asker = await askerOf(services, call, routes.files.write.auth)
      if (!(body instanceof Readable)) throw bytesOnly()
      const declared = headers['content-length']
      const content = {
        bytes: declared === undefined ? undefined : Number(declared),
        // What is refused half-way is answered on this connection all the same.
        data: body.iterator({ destroyOnReturn: false }),
      }
      const entry = await files.write(asker, path, content, preconditionsIn(request))
      reply.header('etag', entry.etag)
      return entry
    } catch (error) {
      if (body instanceof Readable) body.resume()
      throw error
    }
  })

  register(routes.files.remove, async (call) => {
    const asker = await askerOf(services, call, routes.files.remove.auth)
    return void (await files.remove(asker, pathIn(call.request, call.query.path), preconditionsIn(call.request)))
  })

  register(routes.files.makeFolder, async (call) => {
    const asker = await askerOf(services, call, routes.files.makeFolder.auth)
    return files.makeFolder(asker, assertText(call.body.path))
  })
}
