import { createHash, randomBytes } from 'node:crypto'

/** `<family>.<secret>`: the family is the same in all tokens of a login, and nowhere else. */
const familyOf = (token: string): string => token.split('.', 1)[0] ?? ''

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const secret = (): string => randomBytes(32).toString('base64url')

export const newRefreshToken = (): string => `${secret()}.${secret()}`

export const nextRefreshToken = (token: string): string => `${familyOf(token)}.${secret()}`

export const hashesOf = (token: string): { familyHash: string; tokenHash: string } => ({
  familyHash: sha256(familyOf(token)),
  tokenHash: sha256(token),
})
