import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { StoredTokens } from '@aicm/client'
import { CliError, exitCodes } from './cli-error.ts'
import type { Io } from './io.ts'

/** Who is logged in at one server. */
export type Account = { username: string } & StoredTokens

/** Accounts by the address of their server: a token is never shown to another one. */
export type Config = { server?: string; accounts: Record<string, Account> }

export const configPath = (env: Io['env']): string =>
  env.AICM_CONFIG || join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'aicm', 'config.json')

export const readConfig = async (path: string): Promise<Config> => {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw unusable(path, error)
  })
  if (text === undefined) return { accounts: {} }
  try {
    return parse(JSON.parse(text))
  } catch (error) {
    throw unusable(path, error)
  }
}

/** Readable by its owner alone, and never half written. */
export const writeConfig = async (path: string, config: Config): Promise<void> => {
  const half = `${path}.${process.pid}.tmp`
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeFile(half, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 })
    await chmod(half, 0o600)
    await rename(half, path)
  } catch (error) {
    await rm(half, { force: true })
    throw unusable(path, error)
  }
}

const parse = (value: unknown): Config => {
  if (!isRecord(value)) throw new Error('it holds no JSON object')
  const accounts: Config['accounts'] = {}
  for (const [server, account] of Object.entries(isRecord(value.accounts) ? value.accounts : {})) {
    if (!isRecord(account)) continue
    const { username, accessToken, refreshToken, expiresAt = 0 } = account
    if (
      typeof username === 'string' &&
      typeof accessToken === 'string' &&
      typeof refreshToken === 'string' &&
      typeof expiresAt === 'number'
    )
      accounts[server] = { username, accessToken, refreshToken, expiresAt }
  }
  return typeof value.server === 'string' ? { server: value.server, accounts } : { accounts }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const unusable = (path: string, error: unknown): CliError =>
  new CliError({
    code: 'config_unusable',
    message: `The configuration file ${path} cannot be used: ${error instanceof Error ? error.message : String(error)}.`,
    hint: 'Correct or remove it, or name another one with AICM_CONFIG.',
    exitCode: exitCodes.failed,
  })
