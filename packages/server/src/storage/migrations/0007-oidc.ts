import type { Kysely } from 'kysely'

/** Who logs in by an OpenID provider is found by what the provider calls them. */
export const up = async (db: Kysely<unknown>): Promise<void> => {
  await db.schema.alterTable('users').addColumn('oidc_id', 'text').execute()
  await db.schema.createIndex('users_oidc_id').unique().on('users').column('oidc_id').execute()
}
