import { join } from 'node:path'
import type { Role } from '@aicm/protocol'
import { hashPassword } from '../../server/src/auth/passwords.ts'
import { newId } from '../../server/src/lib/id.ts'
import { openSqliteDatabase } from '../../server/src/storage/drivers/sqlite/database.ts'

/** Adds somebody to the store of a server that does not run, or has never run. */
export const addUser = async (
  dataDir: string,
  username: string,
  password: string,
  role: Role = 'member',
): Promise<void> => {
  await using database = await openSqliteDatabase({ path: join(dataDir, 'aicm.db') })
  const now = Date.now()
  const passwordHash = await hashPassword(password)
  await database.users.create({ id: newId('usr', now), username, passwordHash, role, createdAt: now })
}
