import { Type, type Static } from 'typebox'
import { Time, UserId } from '../ids.ts'
import { Role } from '../permissions.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

/** Compared without case. Plain ASCII: no two names look alike, and none looks like a flag or a path. */
export const Username = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$' })
export const NewPassword = Type.String({ minLength: 12, maxLength: 1024 })

export const User = Type.Object({ id: UserId, username: Type.String(), role: Role })
export type User = Static<typeof User>

/** As administrators see it. */
export const Account = Type.Object({
  ...User.properties,
  disabled: Type.Boolean(),
  mustChangePassword: Type.Boolean({
    description: 'Somebody else has set the password, and the user not changed it yet',
  }),
  createdAt: Time,
})
export type Account = Static<typeof Account>

const oneTime = Type.Optional(Type.String({ description: 'Made up by the server, and shown only in this answer' }))

const params = strict({ id: UserId })
const tag = 'users'

export const userRoutes = {
  list: route({
    id: 'listUsers',
    method: 'GET',
    path: '/v1/users',
    summary: 'List all users',
    tag,
    auth: 'users.manage',
    status: 200,
    response: Type.Object({ users: Type.Array(Account) }),
  }),
  create: route({
    id: 'createUser',
    method: 'POST',
    path: '/v1/users',
    summary: 'Add a user',
    description:
      'Without a password one is made up. The user has to change it before anything else, unless mustChangePassword is false.',
    tag,
    auth: 'users.manage',
    body: strict({
      username: Username,
      role: Type.Optional(Role),
      password: Type.Optional(NewPassword),
      mustChangePassword: Type.Optional(Type.Boolean({ default: true })),
    }),
    status: 201,
    response: Type.Object({ ...Account.properties, password: oneTime }),
  }),
  get: route({
    id: 'getUser',
    method: 'GET',
    path: '/v1/users/:id',
    summary: 'Show a user',
    tag,
    auth: 'users.manage',
    params,
    status: 200,
    response: Account,
  }),
  update: route({
    id: 'updateUser',
    method: 'PATCH',
    path: '/v1/users/:id',
    summary: 'Change a user',
    description:
      'A user who is disabled, or whose password is reset, is logged out everywhere at once; a password that was reset has to be changed at the next log-in. The last administrator stays one.',
    tag,
    auth: 'users.manage',
    params,
    body: strict(
      {
        role: Type.Optional(Role),
        disabled: Type.Optional(Type.Boolean()),
        resetPassword: Type.Optional(Type.Literal(true)),
      },
      { minProperties: 1 },
    ),
    status: 200,
    response: Type.Object({ ...Account.properties, password: oneTime }),
  }),
  delete: route({
    id: 'deleteUser',
    method: 'DELETE',
    path: '/v1/users/:id',
    summary: 'Remove a user',
    description:
      'Tokens and keys are dead at once, sessions are closed. Logs, workspaces and files stay on the server, where nobody can see them any more, until this is called with purge=true, at once or later.',
    tag,
    auth: 'users.manage',
    params,
    query: strict({ purge: Type.Optional(Type.Boolean()) }),
    status: 204,
  }),
} as const
