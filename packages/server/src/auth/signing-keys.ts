import { createHash } from 'node:crypto'
import { readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Audit } from '../audit/audit.ts'
import type { Clock } from '../lib/clock.ts'
import { createSemaphore } from '../lib/semaphore.ts'
import { assertWhole, secretFile } from '../lib/secret-file.ts'

export type SigningKey = { id: string; secret: Uint8Array }

/** The keys that sign access tokens: the newest signs, those before it are known as long as what they signed is good. */
export type SigningKeys = {
  newest(): SigningKey
  find(id: string): Uint8Array | undefined
  /** Signs with a new key from now on. */
  rotate(): Promise<SigningKey>
  /** Removes the keys whose time is over. */
  tidy(): Promise<void>
}

const fileName = 'jwt.key'
/** `jwt.key.<when it was replaced, in milliseconds>` */
const replacedName = /^jwt\.key\.(\d{1,15})$/

const idOf = (secret: Uint8Array): string => createHash('sha256').update(secret).digest('base64url').slice(0, 16)

/**
 * Keys in files of their own, 0600, made on the first start. A crash in the middle of a rotation leaves no newest key, and the
 * next start makes one. `lifeMs` is how long a token is good after it was signed.
 */
export const openSigningKeys = async (
  dir: string,
  { clock, lifeMs, audit }: { clock: Clock; lifeMs: number; audit: Pick<Audit, 'record'> },
): Promise<SigningKeys> => {
  const path = join(dir, fileName)
  const load = async (): Promise<SigningKey> => {
    const secret = await secretFile(path)
    return { id: idOf(secret), secret }
  }
  const replaced = new Map<string, { secret: Uint8Array; until: number; file: string }>()
  const isOver = (until: number): boolean => until <= clock.now()

  for (const name of await readdir(dir)) {
    const at = replacedName.exec(name)?.[1]
    if (at === undefined) continue
    const until = Number(at) + lifeMs
    const file = join(dir, name)
    const content = await readFile(file)
    // What is removed below need not be whole.
    const secret = isOver(until) ? content : assertWhole(file, content)
    replaced.set(idOf(secret), { secret, until, file })
  }

  const tidy = async (): Promise<void> => {
    for (const [keyId, { until, file }] of replaced) {
      if (!isOver(until)) continue
      await unlink(file)
      replaced.delete(keyId)
      await audit.record({ action: 'server.signing_key', detail: { keyId } })
    }
  }
  await tidy()
  let newest = await load()
  let lastRotation = 0
  const inTurn = createSemaphore(1)

  return {
    newest: () => newest,
    find: (id) => {
      if (id === newest.id) return newest.secret
      const key = replaced.get(id)
      // Whoever has stolen it could sign what it likes: it is taken no longer than it has to be.
      return key === undefined || isOver(key.until) ? undefined : key.secret
    },
    rotate: () =>
      inTurn(async () => {
        // Never the name of another one.
        lastRotation = Math.max(clock.now(), lastRotation + 1)
        const file = `${path}.${lastRotation}`
        await rename(path, file)
        replaced.set(newest.id, { secret: newest.secret, until: lastRotation + lifeMs, file })
        newest = await load()
        return newest
      }),
    tidy: () => inTurn(tidy),
  }
}
