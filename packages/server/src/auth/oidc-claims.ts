import type { Role } from '@aicm/protocol'

/** What a provider says of a user. */
export type Claims = { readonly [name: string]: unknown }

const strongestFirst = ['admin', 'member', 'viewer'] as const satisfies Role[]

/** The strongest that a mapped group gives; `*` counts for who is in none. Undefined: the user may not log in. */
export const roleOfGroups = (groups: unknown, roles: ReadonlyMap<string, Role>): Role | undefined => {
  const roleOf = (group: unknown): Role | undefined =>
    typeof group === 'string' && group !== '*' ? roles.get(group) : undefined
  const given = new Set((Array.isArray(groups) ? groups : [groups]).map(roleOf))
  return strongestFirst.find((role) => given.has(role)) ?? roles.get('*')
}

const maxName = 60

/** A user name that is allowed, as near to the provider's as can be. Whether it is free is not looked at here. */
export const usernameOf = ({ preferred_username: preferred }: Claims): string => {
  const plain = String(preferred ?? '')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^A-Za-z0-9._@-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return plain.slice(0, maxName) || 'user'
}
