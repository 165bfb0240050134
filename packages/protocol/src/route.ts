import type { Static, TSchema } from 'typebox'
import type { Permission } from './permissions.ts'

/** One HTTP operation: the server registers it, the client calls it, and /openapi.json is generated from it. */
export type Route = {
  id: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  summary: string
  description?: string
  tag: string
  /** What the caller must be permitted to do; 'token' for whoever is logged in, 'none' for what must work without a token. */
  auth: Permission | 'token' | 'none'
  params?: TSchema
  query?: TSchema
  body?: TSchema
  status: 200 | 201 | 202 | 204 | 302
  response?: TSchema
  /** Its body, or its answer, is the bytes of a file: application/octet-stream. */
  bytes?: 'body' | 'answer'
  /** It answers with server-sent events when the client asks for text/event-stream. */
  streams?: true
}

/** Keeps the literal types of a route. */
export const route = <const R extends Route>(definition: R): R => definition

type Part<R extends Route, Name extends 'params' | 'query' | 'body'> = R[Name] extends TSchema
  ? { [K in Name]: Static<R[Name]> }
  : unknown

/** What a caller gives: `params`, `query` and `body`, as far as the route has them. */
export type Input<R extends Route> = Part<R, 'params'> & Part<R, 'query'> & Part<R, 'body'>
export type Output<R extends Route> = R['response'] extends TSchema ? Static<R['response']> : undefined
