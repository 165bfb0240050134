import { Type, type Static } from 'typebox'

/**
 * What somebody may do, of their own and of what was shared with them. An API key has some of its owner's.
 * `sessions.write` is to use a session, `sessions.manage` to delete or share it.
 */
export const Permission = Type.Union([
  Type.Literal('sessions.read'),
  Type.Literal('sessions.write'),
  Type.Literal('sessions.manage'),
  Type.Literal('approvals.write'),
  Type.Literal('workspaces.read'),
  Type.Literal('workspaces.write'),
  Type.Literal('files.read'),
  Type.Literal('files.write'),
  Type.Literal('account.write'),
  Type.Literal('server.read'),
  Type.Literal('server.manage'),
  Type.Literal('users.manage'),
  Type.Literal('audit.read'),
  Type.Literal('usage.read'),
])
export type Permission = Static<typeof Permission>

export const Role = Type.Union([Type.Literal('admin'), Type.Literal('member'), Type.Literal('viewer')])
export type Role = Static<typeof Role>

const viewer = ['sessions.read', 'workspaces.read', 'files.read', 'account.write', 'server.read'] as const
const member = [
  ...viewer,
  'sessions.write',
  'sessions.manage',
  'approvals.write',
  'workspaces.write',
  'files.write',
] as const
const admin = [...member, 'server.manage', 'users.manage', 'audit.read', 'usage.read'] as const

/** An admin runs the server; what users say to their sessions is not part of that. */
export const permissionsOfRole: Readonly<Record<Role, readonly Permission[]>> = { viewer, member, admin }
