import { routes, type Credential, type Permission } from '@aicm/protocol'
import type { CredentialStatus } from '@aicm/broker'
import { authorize } from '../../../auth/authorize.ts'
import { AppError } from '../../../lib/app-error.ts'
import { isoTime } from '../../../lib/clock.ts'
import type { CredentialRecord } from '../../../storage/credential-store.ts'
import { assertMay, type Caller } from '../../access.ts'
import type { Services } from '../../services.ts'
import type { Register } from '../register.ts'

/** Who may see and change what all sessions share. */
const mayManage = (user: Caller): boolean => authorize(user, 'server.manage') === 'allow'

export const registerCredentials = (register: Register, { spending }: Services): void => {
  const { credentials, broker } = spending

  const statusOf = async (): Promise<CredentialStatus[] | undefined> => (await broker.status())?.credentials

  const view = (record: CredentialRecord, found: CredentialStatus[] | undefined): Credential => {
    const status = found?.find(({ id }) => id === record.id)
    const inUse = found === undefined ? 'unknown' : (status?.state ?? 'off')
    return {
      id: record.id,
      name: record.name,
      shared: record.userId === null,
      kind: record.kind,
      hint: record.hint,
      upstream: record.upstream,
      enabled: record.enabled,
      state: credentials.isReadable(record) ? (record.enabled ? inUse : 'off') : 'unreadable',
      until: status?.until ?? null,
      createdAt: isoTime(record.createdAt),
      lastUsedAt: status?.lastUsedAt ?? null,
    }
  }

  /** Another's is answered like one that does not exist, and so is a shared one to whoever may not manage it. */
  const credentialOf = async (user: Caller, id: string, permission: Permission): Promise<CredentialRecord> => {
    const record = await credentials.get(id)
    const unknown = (): AppError => new AppError('credential_not_found', `There is no credential ${id}.`)
    if (record.userId !== null) assertMay(user, permission, { userId: record.userId }, unknown)
    else if (!mayManage(user)) throw unknown()
    return record
  }

  register(routes.credentials.list, async ({ user }) => {
    const manages = mayManage(user)
    const found = await statusOf()
    const records = (await credentials.listAll()).filter(
      ({ userId }) => userId === user.id || (manages && userId === null),
    )
    const given = found?.find(({ id }) => id === 'environment')
    const environment =
      given !== undefined && given.kind !== 'none' && (given.userId === user.id || (manages && given.userId === null))
        ? [environmentView({ ...given, kind: given.kind })]
        : []
    return { credentials: [...environment, ...records.map((record) => view(record, found))] }
  })

  register(routes.credentials.create, async ({ user, body }) => {
    if (body.shared === true) assertMay(user, 'server.manage')
    const record = await credentials.create(user.id, body)
    await broker.reconfigure()
    return view(record, await statusOf())
  })

  register(routes.credentials.update, async ({ user, params, body }) => {
    const record = await credentialOf(user, params.id, routes.credentials.update.auth)
    const changed = await credentials.update(record, body)
    await broker.reconfigure()
    return view(changed, await statusOf())
  })

  register(routes.credentials.delete, async ({ user, params }) => {
    await credentialOf(user, params.id, routes.credentials.delete.auth)
    await credentials.delete(params.id)
    return void (await broker.reconfigure())
  })
}

const environmentView = (status: CredentialStatus & { kind: Credential['kind'] }): Credential => ({
  id: 'environment',
  name: 'from the environment',
  shared: status.userId === null,
  kind: status.kind,
  // Not even its end is known here: the broker has it, and gives it to nobody.
  hint: '',
  upstream: null,
  enabled: true,
  state: status.state,
  until: status.until,
  createdAt: null,
  lastUsedAt: status.lastUsedAt,
})
