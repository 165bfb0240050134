import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isCode } from './paths.ts'

export type SessionIdentity = { sessionId: string; userId: string }

const keyBytes = 32
const id = /^[A-Za-z0-9_-]{1,64}$/
const shape = /^aicm-([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{43})$/

/**
 * The key that signs session tokens, from `<dir>/token.key`; made on first use. Server and broker may ask at the same time:
 * the file appears whole or not at all, and both get the same key.
 */
export const tokenKey = (dir: string): Buffer => {
  const path = join(dir, 'token.key')
  return readKey(path) ?? createKey(dir, path)
}

const readKey = (path: string): Buffer | null => {
  try {
    const key = readFileSync(path)
    if (key.length === keyBytes) return key
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null
    throw error
  }
  throw new Error(
    `${path} is damaged: it should hold ${keyBytes} bytes. Remove it and restart; sessions get new tokens.`,
  )
}

const createKey = (dir: string, path: string): Buffer => {
  mkdirSync(dir, { recursive: true })
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, randomBytes(keyBytes), { mode: 0o600, flag: 'wx', flush: true })
  try {
    // A link, not a rename: it fails where another process was first, and then that key counts.
    linkSync(draft, path)
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  } finally {
    rmSync(draft, { force: true })
  }
  const key = readKey(path)
  if (key === null) throw new Error(`${path} vanished while it was being created`)
  return key
}

const sign = (key: Buffer, { sessionId, userId }: SessionIdentity): string =>
  createHmac('sha256', key).update(`${sessionId}.${userId}`).digest('base64url')

/** `aicm-<sessionId>.<userId>.<signature>`: what a session's `claude` carries in place of a credential. */
export const mintSessionToken = (key: Buffer, identity: SessionIdentity): string => {
  if (!id.test(identity.sessionId) || !id.test(identity.userId)) {
    throw new Error('A session token needs ids made of letters, digits, _ and -')
  }
  return `aicm-${identity.sessionId}.${identity.userId}.${sign(key, identity)}`
}

/** Whose token it is, or null. Takes the same time whichever character of the signature is wrong. */
export const verifySessionToken = (key: Buffer, token: string): SessionIdentity | null => {
  const [, sessionId, userId, signature] = shape.exec(token) ?? []
  if (sessionId === undefined || userId === undefined || signature === undefined) return null
  const identity = { sessionId, userId }
  // Compared as text: base64url has spare bits in its last character, so bytes would let a changed token pass.
  return timingSafeEqual(Buffer.from(signature), Buffer.from(sign(key, identity))) ? identity : null
}
