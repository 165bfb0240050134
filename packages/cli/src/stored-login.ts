import type { TokenStore } from '@aicm/client'
import { readConfig, writeConfig, type Account } from './config-file.ts'
import { withFileLock } from './file-lock.ts'

/** Sets or removes what is remembered of one server. To be called with the lock of the file. */
const writeAccount = async (path: string, server: string, account: Account | undefined): Promise<void> => {
  const config = await readConfig(path)
  const { [server]: _, ...others } = config.accounts
  await writeConfig(path, { ...config, accounts: account === undefined ? others : { ...others, [server]: account } })
}

/** The login of one server in the configuration file, which other processes of the command line use at the same time. */
export const storedLogin = (path: string, server: string): TokenStore => ({
  read: async () => (await readConfig(path)).accounts[server],
  write: async (tokens) => {
    const account = (await readConfig(path)).accounts[server]
    if (account !== undefined)
      await writeAccount(path, server, tokens === undefined ? undefined : { ...tokens, username: account.username })
  },
  exclusively: (work) => withFileLock(path, work),
})

/** A new login, which is also the server that is meant from now on. */
export const rememberLogin = (path: string, server: string, account: Account): Promise<void> =>
  withFileLock(path, async () => {
    const config = await readConfig(path)
    await writeConfig(path, { server, accounts: { ...config.accounts, [server]: account } })
  })
