import { errorTable } from '@aicm/protocol'

/** What stands behind the # when the OpenID provider has sent the browser back: a code, or why not. */
export type OidcAnswer = { code: string } | { error: Error }

const refusals: Readonly<Record<string, { hint: string }>> = errorTable

/** Only what the table knows is shown: anybody can make a link. */
export const oidcAnswerIn = (hash: string): OidcAnswer | undefined => {
  const found = new URLSearchParams(hash.replace(/^#/, ''))
  const code = found.get('oidc')
  if (code !== null) return { code }
  const refused = found.get('oidc-error')
  if (refused === null) return undefined
  const hint = Object.hasOwn(refusals, refused) ? ` ${refusals[refused]?.hint}` : ''
  return { error: new Error(`The log-in did not succeed.${hint}`) }
}
