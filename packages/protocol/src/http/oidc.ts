import { Type } from 'typebox'
import { route } from '../route.ts'
import { Tokens } from './auth.ts'
import { strict } from './common.ts'

/** A path of the page's own: nothing that a browser could take for another site. */
const Next = Type.String({ maxLength: 2000, pattern: '^/(?![/\\\\])[^\\u0000-\\u001f\\\\]*$' })
const tag = 'auth'
/** Source: RFC 7636, S256 only. */
const Challenge = Type.String({
  pattern: '^[A-Za-z0-9_-]{43}$',
  description: 'base64url(SHA-256(verifier)), for a code that only who has the verifier can use',
})

export const oidcRoutes = {
  status: route({
    id: 'oidcStatus',
    method: 'GET',
    path: '/v1/auth/oidc',
    summary: 'Whether people log in by an OpenID provider, and what it is called',
    tag,
    auth: 'none',
    status: 200,
    response: Type.Object({
      enabled: Type.Boolean(),
      name: Type.Union([Type.String(), Type.Null()]),
      url: Type.Union([Type.String(), Type.Null()], {
        description: 'Where browsers have to begin, when not at the address that was asked',
      }),
    }),
  }),
  start: route({
    id: 'oidcStart',
    method: 'GET',
    path: '/v1/auth/oidc/start',
    summary: 'Send a browser to the OpenID provider',
    description:
      'To be opened, not fetched. The log-in must be finished within 10 minutes by the same browser. A program that listens on loopback gives port and challenge (RFC 8252): when the user has agreed the browser opens http://127.0.0.1:<port>/?code=<code>&state=<challenge>, or error=<error code>.',
    tag,
    auth: 'none',
    query: strict({
      next: Type.Optional(Next),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
      challenge: Type.Optional(Challenge),
    }),
    status: 302,
  }),
  callback: route({
    id: 'oidcCallback',
    method: 'GET',
    path: '/v1/auth/oidc/callback',
    summary: 'Where the OpenID provider sends the browser back to',
    description:
      'Answers with the address of the log-in page, with #oidc=<code> for POST /v1/auth/oidc/finish, or #oidc-error=<error code>.',
    tag,
    auth: 'none',
    // A provider may add parameters of its own. Source: RFC 6749, 4.1.2.
    query: Type.Object({ state: Type.Optional(Type.String({ maxLength: 200 })) }),
    status: 302,
  }),
  finish: route({
    id: 'oidcFinish',
    method: 'POST',
    path: '/v1/auth/oidc/finish',
    summary: 'Exchange the code of a log-in for tokens',
    description:
      'Works once: within 30 seconds in the browser that has started the log-in, or within 2 minutes with the verifier of the program that has.',
    tag,
    auth: 'none',
    body: strict({
      code: Type.String({ minLength: 1, maxLength: 100, pattern: '^[A-Za-z0-9_-]+$' }),
      verifier: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._~-]{43,128}$' })),
    }),
    status: 200,
    response: Type.Object({ ...Tokens.properties, username: Type.String() }),
  }),
} as const
