import { Type } from 'typebox'

/** Ids are a three-letter kind, `_`, and 26 characters of Crockford base 32 (a ULID: they sort by creation time). */
const idOf = (kind: string) =>
  Type.String({ pattern: `^${kind}_[0-9a-hjkmnp-tv-z]{26}$`, description: `Id: ${kind}_ and 26 characters` })

export const SessionId = idOf('ses')
export const WorkspaceId = idOf('wsp')
export const ApprovalId = idOf('apr')
export const UserId = idOf('usr')
export const LoginId = idOf('lgn')
export const KeyId = idOf('key')
export const CredentialId = idOf('crd')

/** A turn is named by the UUID of its prompt, so a client that repeats a request names the same turn. */
export const TurnId = Type.String({
  pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$',
  description: 'UUID, lower case',
})

/** Position in a session's event log: 1 is the first event, each next event is one higher, none is missing. */
export const Seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** ISO 8601, UTC, milliseconds. */
export const Time = Type.String({ description: 'ISO 8601 time in UTC' })
