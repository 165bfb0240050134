import { Type, type Static } from 'typebox'
import { KeyId, Time } from '../ids.ts'
import { Permission } from '../permissions.ts'
import { route } from '../route.ts'
import { Name, strict } from './common.ts'

const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()])

export const ApiKey = Type.Object({
  id: KeyId,
  name: Type.String(),
  prefix: Type.String({ description: 'How the key begins, to tell it from others' }),
  permissions: Type.Array(Permission),
  createdAt: Time,
  expiresAt: nullable(Time),
  lastUsedAt: nullable(Type.String({ description: 'ISO 8601 time in UTC, to the minute' })),
})
export type ApiKey = Static<typeof ApiKey>

const tag = 'keys'

export const keyRoutes = {
  create: route({
    id: 'createKey',
    method: 'POST',
    path: '/v1/keys',
    summary: 'Make an API key for a program',
    description:
      'The key is shown only in this answer; send it as Authorization: Bearer. It may do what `permissions` say, as long as you may do it too, and never change the account.',
    tag,
    auth: 'account.write',
    body: strict({
      name: Name,
      permissions: Type.Array(Permission, { minItems: 1, maxItems: 50, uniqueItems: true }),
      expiresAt: Type.Optional(
        Type.String({
          pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?(Z|[+-]\\d{2}:\\d{2})$',
          description: 'ISO 8601 time; never when absent',
        }),
      ),
    }),
    status: 201,
    response: Type.Object({ ...ApiKey.properties, key: Type.String() }),
  }),
  list: route({
    id: 'listKeys',
    method: 'GET',
    path: '/v1/keys',
    summary: 'List your API keys',
    tag,
    auth: 'account.write',
    status: 200,
    response: Type.Object({ keys: Type.Array(ApiKey) }),
  }),
  delete: route({
    id: 'deleteKey',
    method: 'DELETE',
    path: '/v1/keys/:id',
    summary: 'Delete an API key',
    description: 'It is refused from now on, and what it has open is closed.',
    tag,
    auth: 'account.write',
    params: strict({ id: KeyId }),
    status: 204,
  }),
} as const
