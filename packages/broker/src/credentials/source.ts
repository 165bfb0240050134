import type { Secret } from '../config.ts'

/** What goes into the header of a call. */
export type Material = { kind: 'none' } | { kind: 'api-key' | 'auth-token' | 'oauth-token'; value: string }

/** Where a credential's material comes from. */
export type CredentialSource = {
  /** Renewed before, where it is known to have run out. Rejects where that fails. */
  current(): Promise<Material>
  /**
   * After a refusal of `refused`: newer material. However many ask at once, one renews. Undefined where there is no way to
   * renew; rejects where renewing was refused.
   */
  refresh(refused: Material): Promise<Material | undefined>
}

/** Renewed tokens, to be kept: the refresh token may be a new one, and the old one void. */
export type Renewed = { accessToken: string; refreshToken: string; expiresAt: number }

export type SourceOptions = { now?: () => number; onRenewed: (renewed: Renewed) => void; signal?: AbortSignal }

export const createSource = (secret: Secret, options: SourceOptions): CredentialSource =>
  secret.kind === 'oauth'
    ? oauthSource(secret, options)
    : { current: async () => secret, refresh: async () => undefined }

/** So long before its end a token is renewed: a call must not start with one that runs out on the way. */
const earlyMs = 60_000
const timeoutMs = 15_000
const mostAnswer = 64 * 1024
const defaultLifeMs = 3_600_000

const oauthSource = (
  secret: Extract<Secret, { kind: 'oauth' }>,
  { now = Date.now, onRenewed }: SourceOptions,
): CredentialSource => {
  let { accessToken, refreshToken, expiresAt } = secret
  let renewing: Promise<Material> | undefined
  const material = (): Material => ({ kind: 'oauth-token', value: accessToken })

  const renew = (): Promise<Material> =>
    (renewing ??= askForTokens(secret, refreshToken, now)
      .then((renewed) => {
        ;({ accessToken, refreshToken, expiresAt } = renewed)
        onRenewed(renewed)
        return material()
      })
      .finally(() => (renewing = undefined)))

  return {
    current: async () =>
      accessToken === '' || (expiresAt !== 0 && now() > expiresAt - earlyMs) ? renew() : (renewing ?? material()),
    // Somebody else's refusal may have renewed it already.
    refresh: async (refused) => (refused.kind !== 'none' && refused.value !== accessToken ? material() : renew()),
  }
}

const askForTokens = async (
  { tokenUrl, clientId }: Extract<Secret, { kind: 'oauth' }>,
  refreshToken: string,
  now: () => number,
): Promise<Renewed> => {
  const answer = await fetch(tokenUrl, {
    method: 'POST',
    redirect: 'error',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ grant_type: 'refresh_token', refresh_token: refreshToken, client_id: clientId }),
    signal: AbortSignal.timeout(timeoutMs),
  })
  const text = (await answer.text()).slice(0, mostAnswer)
  // Without the answer's words: they may repeat what was sent.
  if (!answer.ok) throw new Error(`the token endpoint answered ${answer.status}`)
  const tokens = readTokens(text)
  if (tokens === undefined) throw new Error('the token endpoint gave no token')
  return {
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken ?? refreshToken,
    expiresAt: now() + tokens.lifeMs,
  }
}

const readTokens = (text: string): { accessToken: string; refreshToken?: string; lifeMs: number } | undefined => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const tokens: Record<string, unknown> = { ...value }
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: seconds } = tokens
  const isToken = (token: unknown): token is string => typeof token === 'string' && /^[\x21-\x7e]{1,8192}$/.test(token)
  if (!isToken(accessToken)) return undefined
  return {
    accessToken,
    ...(isToken(refreshToken) ? { refreshToken } : {}),
    lifeMs: typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : defaultLifeMs,
  }
}
