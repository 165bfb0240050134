import { expect, test } from 'vitest'
import { roleOfGroups, usernameOf } from './oidc-claims.ts'

const roles = new Map([
  ['ops', 'admin'],
  ['dev', 'member'],
  ['guests', 'viewer'],
] as const)

test('the strongest role of the groups counts; who is in none has no role', () => {
  expect(roleOfGroups(['guests', 'ops', 'dev'], roles)).toBe('admin')
  expect(roleOfGroups('dev', roles)).toBe('member')
  for (const groups of [undefined, null, [], ['OPS'], [['ops']], { ops: true }, 1])
    expect(roleOfGroups(groups, roles)).toBeUndefined()
})

test('* is for who is in no other group, and nobody is in a group of that name', () => {
  const open = new Map([...roles, ['*', 'viewer'] as const])
  expect(roleOfGroups(['other'], open)).toBe('viewer')
  expect(roleOfGroups(undefined, open)).toBe('viewer')
  expect(roleOfGroups(['dev'], open)).toBe('member')
  expect(roleOfGroups(['*', 'guests'], new Map([...roles, ['*', 'admin'] as const]))).toBe('viewer')
})

test('a name becomes one that is allowed', () => {
  const named = (preferred_username: unknown) => usernameOf({ preferred_username })
  expect(named('ada@example.org')).toBe('ada@example.org')
  expect(named('--help')).toBe('help')
  expect(named('Žofie Nová')).toBe('Zofie-Nova')
  expect(named('a'.repeat(200))).toHaveLength(60)
  for (const none of [undefined, null, '', '北京', '...']) expect(named(none)).toBe('user')
})
