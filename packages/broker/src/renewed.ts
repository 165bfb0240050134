import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecretBox } from './secret-box.ts'
import type { Renewed } from './credentials/source.ts'

/**
 * Tokens that were renewed, sealed in the broker's folder until the server has them in its database: the ones before are
 * void, and the server may not be there when that happens.
 */
export type RenewedTokens = {
  ids(): string[]
  keep(id: string, tokens: Renewed): void
  read(id: string): Renewed | undefined
  remove(id: string): void
}

const contextOf = (id: string): string => `renewed ${id}`

export const openRenewed = (brokerDir: string, key: Uint8Array): RenewedTokens => {
  const dir = join(brokerDir, 'renewed')
  const box = createSecretBox(key)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return {
    ids: () => readdirSync(dir).filter((name) => !name.includes('.')),
    keep: (id, tokens) => {
      const draft = join(dir, `${id}.new`)
      writeFileSync(draft, box.seal(JSON.stringify(tokens), contextOf(id)), { mode: 0o600, flush: true })
      renameSync(draft, join(dir, id))
    },
    read: (id) => {
      try {
        return JSON.parse(box.open(readFileSync(join(dir, id), 'utf8'), contextOf(id)))
      } catch {
        // Gone, or sealed with another key.
        return undefined
      }
    },
    remove: (id) => rmSync(join(dir, id), { force: true }),
  }
}
