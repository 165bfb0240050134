import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { secretFile } from '../lib/secret-file.ts'

const keyBytes = 32

/** 32 bytes as they are, or written as hex or base64. */
const parseKey = (bytes: Buffer): Buffer | undefined => {
  if (bytes.length === keyBytes) return bytes
  const text = bytes.toString('latin1').trim()
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  const decoded = /^[A-Za-z0-9+/_-]{43}=?$/.test(text) ? Buffer.from(text, 'base64') : undefined
  return decoded?.length === keyBytes ? decoded : undefined
}

/**
 * The key that stored secrets are sealed with: from a file, from the environment, or from a file in the data folder that is
 * made at the first start. The last protects a copy of the database, and not a copy of the folder.
 */
export const readSecretKey = async ({
  dataDir,
  secretKey,
  secretKeyFile,
}: Pick<Config, 'dataDir' | 'secretKey' | 'secretKeyFile'>): Promise<Uint8Array> => {
  if (secretKeyFile === undefined && secretKey === undefined) return secretFile(join(dataDir, 'secret.key'))
  const given = secretKeyFile === undefined ? Buffer.from(secretKey ?? '') : await readFile(secretKeyFile)
  const key = parseKey(given)
  if (key === undefined)
    throw new Error(
      `${secretKeyFile ?? 'AICM_SECRET_KEY'} must hold ${keyBytes} bytes, as they are or as hex or base64 (openssl rand -base64 ${keyBytes}).`,
    )
  return key
}
