import type { Permission } from '@aicm/protocol'

/** What lets somebody in, until it is taken back: a login with all its tokens, or an API key. */
export type Grant = { kind: 'login'; id: string } | { kind: 'key'; id: string; permissions: readonly Permission[] }

/** Who a request comes from. `expiresAt` is when what was shown expires: Infinity for a key without an end. */
export type Identity = { userId: string; grant: Grant; expiresAt: number }

/** What somebody came with, as the audit log names it. */
export const credentialOf = ({ grant }: Identity): string => (grant.kind === 'login' ? 'login' : `api-key ${grant.id}`)
