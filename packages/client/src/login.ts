import { routes, type Output } from '@aicm/protocol'
import { createCall } from './call.ts'
import { baseUrl, type ClientOptions } from './options.ts'
import { fixedToken } from './tokens.ts'

export type LoginOptions = Pick<ClientOptions, 'url' | 'fetch'> & {
  username: string
  password: string
  signal?: AbortSignal
}

/** Exchanges a user name and a password for tokens: `createClient({ url, tokens })` keeps the login going. */
export const login = ({
  url,
  fetch,
  username,
  password,
  signal,
}: LoginOptions): Promise<Output<typeof routes.auth.login>> => {
  const call = createCall({ base: baseUrl(url), tokens: fixedToken(() => undefined), fetch: fetch ?? globalThis.fetch })
  return call(routes.auth.login, { body: { username, password } }, signal === undefined ? {} : { signal })
}
