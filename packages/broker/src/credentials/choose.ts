import { isSubscription, type Credential } from '../config.ts'
import type { SessionIdentity } from '../token.ts'

/**
 * The credentials that may serve this session, in the order in which they are tried: its owner's own, then the shared ones.
 * A subscription's token is nobody's but its owner's, whatever else was configured, and serves no prompt of a guest.
 */
export const lanesFor = <L extends { credential: Pick<Credential, 'userId' | 'kind'> }>(
  lanes: readonly L[],
  { userId, isGuest }: Pick<SessionIdentity, 'userId'> & { isGuest: boolean },
): L[] => [
  ...lanes.filter(({ credential }) => credential.userId === userId && !(isGuest && isSubscription(credential))),
  ...lanes.filter(({ credential }) => credential.userId === null && !isSubscription(credential)),
]
