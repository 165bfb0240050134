import { Type, type Static } from 'typebox'
import { LoginId, Time } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'
import { NewPassword, User } from './users.ts'

export const Tokens = Type.Object({
  accessToken: Type.String(),
  refreshToken: Type.String(),
  tokenType: Type.Literal('Bearer'),
  expiresIn: Type.Integer({ description: 'Seconds until the access token expires' }),
})
export type Tokens = Static<typeof Tokens>

export const Login = Type.Object({
  id: LoginId,
  agent: Type.Union([Type.String(), Type.Null()], { description: 'What the program called itself (User-Agent)' }),
  current: Type.Boolean({ description: 'The login that asks' }),
  createdAt: Time,
  usedAt: Type.String({ description: 'When it was last refreshed' }),
  expiresAt: Type.String({ description: 'When it ends unless it is refreshed before' }),
})
export type Login = Static<typeof Login>

export const authRoutes = {
  login: route({
    id: 'login',
    method: 'POST',
    path: '/v1/auth/login',
    summary: 'Log in',
    tag: 'auth',
    auth: 'none',
    body: strict({
      username: Type.String({ minLength: 1, maxLength: 100 }),
      password: Type.String({ minLength: 1, maxLength: 1024 }),
    }),
    status: 200,
    response: Type.Object({
      ...Tokens.properties,
      mustChangePassword: Type.Boolean({ description: 'Until then all else is answered password_change_required' }),
    }),
  }),
  refresh: route({
    id: 'refresh',
    method: 'POST',
    path: '/v1/auth/refresh',
    summary: 'Exchange a refresh token for new tokens',
    description:
      'Each refresh token works once. Used a second time it may have been stolen: the login ends, and all tokens of it are refused.',
    tag: 'auth',
    auth: 'none',
    body: strict({ refreshToken: Type.String({ minLength: 1, maxLength: 500 }) }),
    status: 200,
    response: Tokens,
  }),
  logout: route({
    id: 'logout',
    method: 'POST',
    path: '/v1/auth/logout',
    summary: 'Log out',
    description: 'All tokens of this login are refused from now on, and its WebSockets and streams are closed.',
    tag: 'auth',
    auth: 'account.write',
    status: 204,
  }),
  me: route({
    id: 'me',
    method: 'GET',
    path: '/v1/auth/me',
    summary: 'Who am I',
    tag: 'auth',
    auth: 'token',
    status: 200,
    response: User,
  }),
  ticket: route({
    id: 'ticket',
    method: 'POST',
    path: '/v1/auth/ticket',
    summary: 'A single-use ticket for the WebSocket',
    description:
      'Browsers cannot send a header with a WebSocket: they open /v1/ws?ticket=<ticket>. It works once, within expiresIn seconds.',
    tag: 'auth',
    auth: 'token',
    status: 201,
    response: Type.Object({ ticket: Type.String(), expiresIn: Type.Integer() }),
  }),
  password: route({
    id: 'changePassword',
    method: 'POST',
    path: '/v1/auth/password',
    summary: 'Change your password',
    description: 'All your other logins end. API keys go on. The new one must be another.',
    tag: 'auth',
    auth: 'account.write',
    body: strict({ currentPassword: Type.String({ minLength: 1, maxLength: 1024 }), newPassword: NewPassword }),
    status: 204,
  }),
  logins: route({
    id: 'listLogins',
    method: 'GET',
    path: '/v1/auth/logins',
    summary: 'Where you are logged in, newest first',
    tag: 'auth',
    auth: 'account.write',
    status: 200,
    response: Type.Object({ logins: Type.Array(Login) }),
  }),
  endLogin: route({
    id: 'endLogin',
    method: 'DELETE',
    path: '/v1/auth/logins/:id',
    summary: 'End one of your logins',
    tag: 'auth',
    auth: 'account.write',
    params: strict({ id: LoginId }),
    status: 204,
  }),
  rotate: route({
    id: 'rotateSigningKey',
    method: 'POST',
    path: '/v1/auth/signing-key/rotate',
    summary: 'Sign access tokens with a new key',
    description: 'Tokens that the last key has signed are good until they expire.',
    tag: 'auth',
    auth: 'server.manage',
    status: 200,
    response: Type.Object({ keyId: Type.String() }),
  }),
} as const
