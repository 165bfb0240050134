import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSecretBox } from './secret-box.ts'
import type { Renewed } from './credentials/source.ts'

/** Which tokens: those of a credential that has been given others since are of another lineage. */
export type RenewedKey = { id: string; lineage: string }

/**
 * Tokens that were renewed, sealed in the broker's folder until the server has them in its database: the ones before are
 * void, and the server may not be there when that happens.
 */
export type RenewedTokens = {
  keys(): RenewedKey[]
  keep(key: RenewedKey, tokens: Renewed): void
  read(key: RenewedKey): Renewed | undefined
  /** Reads them and sets them aside, until `remove`: what is kept in between stays. Not while another takes. */
  take(key: RenewedKey): Renewed | undefined
  /** Those that were taken. */
  remove(key: RenewedKey): void
}

const contextOf = ({ id }: RenewedKey): string => `renewed ${id}`
const nameOf = ({ id, lineage }: RenewedKey): string => (lineage === '' ? id : `${id}.${lineage}`)

export const openRenewed = (brokerDir: string, sealKey: Uint8Array): RenewedTokens => {
  const dir = join(brokerDir, 'renewed')
  const box = createSecretBox(sealKey)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const kept = (key: RenewedKey): string => join(dir, nameOf(key))
  const taken = (key: RenewedKey): string => `${kept(key)}~`
  const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

  const open = (path: string, key: RenewedKey): Renewed | undefined => {
    try {
      return JSON.parse(box.open(readFileSync(path, 'utf8'), contextOf(key)))
    } catch {
      // Gone, or sealed with another key.
      return undefined
    }
  }

  return {
    keys: () => {
      const names = readdirSync(dir).filter((name) => !name.endsWith('+'))
      return [...new Set(names.map((name) => name.replace(/~$/, '')))].map((name) => {
        const [id = '', lineage = ''] = name.split('.')
        return { id, lineage }
      })
    },
    keep: (key, tokens) => {
      const draft = `${kept(key)}+`
      writeFileSync(draft, box.seal(JSON.stringify(tokens), contextOf(key)), { mode: 0o600, flush: true })
      renameSync(draft, kept(key))
    },
    read: (key) => open(kept(key), key) ?? open(taken(key), key),
    take: (key) => {
      if (exists(kept(key))) renameSync(kept(key), taken(key))
      return open(taken(key), key)
    },
    remove: (key) => rmSync(taken(key), { force: true }),
  }
}
