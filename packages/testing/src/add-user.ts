import { createClient } from '@aicm/client'
import { routes, type Role } from '@aicm/protocol'

/** Adds a user with a password of their own to a server that runs. `token` is an administrator's. Resolves with the user's id. */
export const addUser = async (
  { url, token }: { url: string; token: string },
  user: { username: string; password: string; role?: Role },
): Promise<string> => {
  await using client = createClient({ url, token })
  return (await client.call(routes.users.create, { body: { ...user, mustChangePassword: false } })).id
}
