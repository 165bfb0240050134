/**
 * Every migration, oldest first, by the name under which a database remembers it. To add one: write
 * `NNNN-what-it-does.ts` with an `up`, and add its line here. One that was released is never changed, and there is no way
 * back. They are loaded only when a database lacks one: with them comes Kysely, which a start should not pay for.
 */
export const migrations = {
  '0001-initial': () => import('./0001-initial.ts'),
  '0002-accounts': () => import('./0002-accounts.ts'),
  '0003-audit': () => import('./0003-audit.ts'),
  '0004-usage': () => import('./0004-usage.ts'),
  '0005-isolation': () => import('./0005-isolation.ts'),
  '0006-gateway': () => import('./0006-gateway.ts'),
  '0007-oidc': () => import('./0007-oidc.ts'),
  '0008-limits': () => import('./0008-limits.ts'),
  '0009-own-passwords': () => import('./0009-own-passwords.ts'),
} as const

export const migrationNames: string[] = Object.keys(migrations).sort()

export const newestMigration = migrationNames.at(-1) ?? ''
