import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** Seals texts with AES-256-GCM. `context` is bound in: what was sealed as one thing does not open as another. */
export type SecretBox = {
  seal(text: string, context: string): string
  /** Throws where the key is another, or the text or its context was changed. */
  open(sealed: string, context: string): string
}

const version = 'v1'
const nonceBytes = 12
const tagBytes = 16

export const createSecretBox = (key: Uint8Array): SecretBox => ({
  seal: (text, context) => {
    const nonce = randomBytes(nonceBytes)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return `${version}.${Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url')}`
  },
  open: (sealed, context) => {
    if (!sealed.startsWith(`${version}.`)) throw new Error('This is not sealed with a key of ours.')
    const bytes = Buffer.from(sealed.slice(version.length + 1), 'base64url')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
      .setAAD(Buffer.from(context))
      .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes))
    return Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]).toString('utf8')
  },
})

/** A key for one purpose from a key for all: 32 bytes. */
export const deriveKey = (key: Uint8Array, purpose: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, '', purpose, 32))
