import { permissionsOfRole, type Permission, type Role } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { authorize } from './authorize.ts'

const everything = permissionsOfRole.admin
const roles = Object.keys(permissionsOfRole) as Role[]

test('each role may do what its row says, and nothing else', () => {
  for (const role of roles)
    for (const permission of everything)
      expect(authorize({ id: 'me', role }, permission)).toBe(
        permissionsOfRole[role].includes(permission) ? 'allow' : 'deny',
      )
})

test("another's is hidden from every role, an admin's too", () => {
  for (const role of roles)
    for (const permission of everything)
      expect(authorize({ id: 'me', role }, permission, { userId: 'other' })).toBe('hide')
})

test('what was shared can be seen by a viewer and driven by a driver, and nobody shares it on or deletes its files', () => {
  const may = (share: 'viewer' | 'driver', role: Role): Permission[] =>
    everything.filter((permission) => authorize({ id: 'me', role }, permission, { userId: 'other', share }) === 'allow')
  expect(may('viewer', 'member')).toEqual(['sessions.read', 'workspaces.read', 'files.read'])
  expect(may('driver', 'viewer')).toEqual(['sessions.read', 'workspaces.read', 'files.read'])
  expect(may('driver', 'member')).toEqual([
    ...may('viewer', 'member'),
    'sessions.write',
    'approvals.write',
    'files.write',
  ])
})

test("a key does no more than its scopes, and no more than its owner's role", () => {
  const key = { id: 'me', role: 'viewer', scopes: ['sessions.read', 'sessions.write'] } as const
  expect(authorize(key, 'sessions.read')).toBe('allow')
  expect(authorize(key, 'sessions.write')).toBe('deny')
  expect(authorize(key, 'files.read')).toBe('deny')
  expect(authorize({ ...key, scopes: [] }, 'sessions.read')).toBe('deny')
})
