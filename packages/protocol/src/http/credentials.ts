import { Type, type Static } from 'typebox'
import { CredentialId, Time } from '../ids.ts'
import { route } from '../route.ts'
import { Name, strict } from './common.ts'

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

export const CredentialKind = Type.Enum(['api-key', 'auth-token', 'oauth-token', 'oauth'], {
  description:
    'An API key; a Bearer token for a gateway; the long-lived token of a subscription; or its short-lived token with a refresh token',
})

/** A credential for the model API. Its secret is never shown again. */
export const Credential = Type.Object({
  id: Type.Union([CredentialId, Type.Literal('environment')], {
    description: '`environment`: the one that the server was started with',
  }),
  name: Type.String(),
  shared: Type.Boolean({ description: 'It serves the sessions of all users; else those of its owner' }),
  kind: CredentialKind,
  hint: Type.String({ description: 'The last four characters' }),
  upstream: nullable(Type.String({ description: "Where it is sent to; null: the server's own setting" })),
  enabled: Type.Boolean(),
  state: Type.Enum(['ready', 'resting', 'auth_required', 'failing', 'off', 'unreadable', 'unknown'], {
    description:
      'resting: limited until `until`; auth_required: it was refused; off: not in use; unreadable: stored with another secret key; unknown: the broker is down',
  }),
  until: nullable(Time),
  createdAt: nullable(Time),
  lastUsedAt: nullable(Time),
})
export type Credential = Static<typeof Credential>

const Secret = Type.String({ pattern: '^[!-~]{8,8192}$', description: 'Printable ASCII without spaces' })
const Upstream = Type.String({ pattern: '^https?://', maxLength: 2000 })
const params = strict({ id: CredentialId })
const tag = 'credentials'

export const credentialRoutes = {
  list: route({
    id: 'listCredentials',
    method: 'GET',
    path: '/v1/credentials',
    summary: 'List your credentials for the model API',
    description: 'And the shared ones, with the permission server.manage.',
    tag,
    auth: 'account.write',
    status: 200,
    response: Type.Object({ credentials: Type.Array(Credential) }),
  }),
  create: route({
    id: 'createCredential',
    method: 'POST',
    path: '/v1/credentials',
    summary: 'Add a credential for the model API',
    description:
      "It serves your own sessions, before any shared one. `shared` needs the permission server.manage; a subscription's token cannot be shared.",
    tag,
    auth: 'account.write',
    body: strict({
      kind: CredentialKind,
      value: Type.Optional(Secret),
      refreshToken: Type.Optional(Secret),
      name: Type.Optional(Name),
      shared: Type.Optional(Type.Boolean()),
      upstream: Type.Optional(Upstream),
    }),
    status: 201,
    response: Credential,
  }),
  update: route({
    id: 'updateCredential',
    method: 'PATCH',
    path: '/v1/credentials/:id',
    summary: 'Rename a credential, switch it off or on, or replace its secret',
    tag,
    auth: 'account.write',
    params,
    body: strict({
      name: Type.Optional(Name),
      enabled: Type.Optional(Type.Boolean()),
      value: Type.Optional(Secret),
      refreshToken: Type.Optional(Secret),
    }),
    status: 200,
    response: Credential,
  }),
  delete: route({
    id: 'deleteCredential',
    method: 'DELETE',
    path: '/v1/credentials/:id',
    summary: 'Remove a credential',
    tag,
    auth: 'account.write',
    params,
    status: 204,
  }),
} as const
