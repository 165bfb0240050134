import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

type Json = Record<string, unknown>

export const decodePart = (part: string): Json => JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Json

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export const hmacJwt = (header: unknown, payload: unknown, key: Uint8Array, digest = 'sha256'): string => {
  const unsigned = `${encoded(header)}.${encoded(payload)}`
  return `${unsigned}.${createHmac(digest, key).update(unsigned).digest('base64url')}`
}

export const unsignedJwt = (header: unknown, payload: unknown): string => `${encoded(header)}.${encoded(payload)}.`

const small = 64 * 1024

/** Whatever a file may hold a key as: its bytes, its text decoded, or a value of its JSON decoded. */
const keysIn = (bytes: Buffer): Buffer[] => {
  const text = bytes.toString('latin1')
  const strings = [...text.matchAll(/[A-Za-z0-9_+/=-]{32,}/g)].map(([found]) => found)
  return [
    bytes,
    ...strings.flatMap((one) => [Buffer.from(one, 'base64url'), Buffer.from(one, 'hex'), Buffer.from(one)]),
  ]
}

/** The key that signed a token, from the server's own folder: with it, a token can be wrong in one single thing. */
export const stolenKey = (dataDir: string, token: string): Buffer | undefined => {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const digest = `sha${String(decodePart(header)['alg']).slice(2)}`
  if (!/^sha\d{3}$/.test(digest)) return undefined
  return readdirSync(dataDir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => !path.includes('/users/') && statSync(path).size <= small)
    .flatMap((path) => keysIn(readFileSync(path)))
    .find((key) => createHmac(digest, key).update(`${header}.${payload}`).digest('base64url') === signature)
}
