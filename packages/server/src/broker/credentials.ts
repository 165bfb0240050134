import type { SecretBox, RenewedKey, Secret, Credential as BrokerCredential } from '@aicm/broker'
import { AppError } from '../lib/app-error.ts'
import type { Clock } from '../lib/clock.ts'
import { newId, newUuid } from '../lib/id.ts'
import type { Log } from '../lib/log.ts'
import { createTurns } from '../lib/turns.ts'
import type { CredentialRecord, CredentialStore } from '../storage/credential-store.ts'

type Kind = CredentialRecord['kind']
/** What is secret about a credential, as it is sealed. */
type Sealed = { value: string; refreshToken?: string; expiresAt?: number; lineage?: string }

export type NewCredential = {
  kind: Kind
  value?: string
  refreshToken?: string
  name?: string
  shared?: boolean
  upstream?: string
}

/** Stored credentials: secrets go in, and come out for the broker only. */
export type Credentials = {
  create(userId: string, given: NewCredential): Promise<CredentialRecord>
  /** Rejects with credential_not_found. */
  get(id: string): Promise<CredentialRecord>
  listAll(): Promise<CredentialRecord[]>
  update(
    record: CredentialRecord,
    changes: { name?: string; enabled?: boolean; value?: string; refreshToken?: string },
  ): Promise<CredentialRecord>
  delete(id: string): Promise<void>
  /** Those in use, opened. What cannot be opened is left out, and told by `isReadable`. */
  open(): Promise<BrokerCredential[]>
  isReadable(record: CredentialRecord): boolean
  /** Tokens that the broker has renewed: kept, unless the owner has given others since. Resolves with what they are of. */
  renew(
    key: RenewedKey,
    tokens: { accessToken: string; refreshToken: string; expiresAt: number },
  ): Promise<CredentialRecord | undefined>
}

const contextOf = (id: string): string => `credential ${id}`

export const createCredentials = (
  store: CredentialStore,
  options: {
    box: SecretBox
    upstream: string
    /** Where a subscription's tokens are renewed; undefined where the operator has not said. */
    oauth: { tokenUrl: string; clientId: string } | undefined
    clock: Clock
    log: Log
  },
): Credentials => {
  const { box, oauth, clock, log } = options
  /** By id: whoever looks before it writes finds what it has seen. */
  const inTurn = createTurns(1)

  const get: Credentials['get'] = async (id) => {
    const record = await store.get(id)
    if (record === undefined) throw new AppError('credential_not_found', `There is no credential ${id}.`)
    return record
  }

  /** What one sees of a secret: too little to use it, and enough to know it by. */
  const sealedAs = (id: string, secret: Sealed): Pick<CredentialRecord, 'sealed' | 'hint'> => ({
    sealed: box.seal(JSON.stringify(secret), contextOf(id)),
    hint: (secret.refreshToken ?? secret.value).slice(-4),
  })

  const read = ({ id, sealed }: CredentialRecord): Sealed | undefined => {
    try {
      return JSON.parse(box.open(sealed, contextOf(id)))
    } catch {
      return undefined
    }
  }

  const secretOf = (
    kind: Kind,
    { value, refreshToken = '', expiresAt = 0, lineage = '' }: Sealed,
  ): Secret | undefined => {
    if (kind !== 'oauth') return { kind, value }
    return oauth && { kind, accessToken: value, refreshToken, expiresAt, lineage, ...oauth }
  }

  const checked = (kind: Kind, value: string | undefined, refreshToken: string | undefined): Sealed => {
    if (kind === 'oauth') {
      if (oauth === undefined)
        throw new AppError('invalid_request', 'This server cannot renew tokens.', {
          hint: 'The operator sets --oauth-token-url and --oauth-client-id; or use an oauth-token (claude setup-token).',
        })
      if (refreshToken === undefined) throw new AppError('invalid_request', 'refreshToken is missing.')
      return { value: value ?? '', refreshToken, expiresAt: 0, lineage: newUuid() }
    }
    if (value === undefined) throw new AppError('invalid_request', 'value is missing.')
    if (refreshToken !== undefined)
      throw new AppError('invalid_request', 'Only a credential of the kind oauth has a refreshToken.')
    return { value }
  }

  return {
    create: async (userId, { kind, value, refreshToken, name, shared = false, upstream }) => {
      if (shared && kind.startsWith('oauth'))
        throw new AppError('invalid_request', "A subscription's token cannot be shared: it is for its owner alone.", {
          hint: 'Share an API key.',
        })
      // Else any user could make the broker connect to any address of the server's network.
      if (upstream !== undefined && !shared)
        throw new AppError('invalid_request', 'Only a shared credential has an upstream of its own.')
      const now = clock.now()
      const id = newId('crd', now)
      const record: CredentialRecord = {
        id,
        userId: shared ? null : userId,
        name: name ?? kind,
        kind,
        upstream: upstream ?? null,
        ...sealedAs(id, checked(kind, value, refreshToken)),
        enabled: true,
        createdBy: userId,
        createdAt: now,
        updatedAt: now,
      }
      await store.create(record)
      return record
    },
    get,
    listAll: store.listAll,
    update: async (record, { value, refreshToken, ...changes }) => {
      const secret =
        value === undefined && refreshToken === undefined
          ? {}
          : sealedAs(record.id, checked(record.kind, value, refreshToken))
      await inTurn(record.id, () => store.update(record.id, { ...changes, ...secret, updatedAt: clock.now() }))
      return get(record.id)
    },
    delete: store.delete,
    isReadable: (record) => read(record) !== undefined,
    open: async () =>
      (await store.listAll()).flatMap((record): BrokerCredential[] => {
        if (!record.enabled) return []
        const sealed = read(record)
        const secret = sealed && secretOf(record.kind, sealed)
        if (secret === undefined) {
          log.error({ credentialId: record.id }, 'a stored credential cannot be opened with this secret key')
          return []
        }
        return [{ id: record.id, userId: record.userId, upstream: record.upstream ?? options.upstream, ...secret }]
      }),
    renew: ({ id, lineage }, { accessToken, refreshToken, expiresAt }) =>
      inTurn(id, async () => {
        const record = await store.get(id)
        const before = record && read(record)
        if (before === undefined || (before.lineage ?? '') !== lineage) return undefined
        const secret = { ...before, value: accessToken, refreshToken, expiresAt }
        await store.update(id, { ...sealedAs(id, secret), updatedAt: clock.now() })
        return record
      }),
  }
}
