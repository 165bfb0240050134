import { Type, type Static } from 'typebox'
import { UserId } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

export const User = Type.Object({
  id: UserId,
  username: Type.String(),
  role: Type.Union([Type.Literal('admin'), Type.Literal('member'), Type.Literal('viewer')]),
})
export type User = Static<typeof User>

export const Tokens = Type.Object({
  accessToken: Type.String(),
  refreshToken: Type.String(),
  tokenType: Type.Literal('Bearer'),
  expiresIn: Type.Integer({ description: 'Seconds until the access token expires' }),
})
export type Tokens = Static<typeof Tokens>

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
      password: Type.String({ minLength: 1, maxLength: 1000 }),
    }),
    status: 200,
    response: Tokens,
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
} as const
