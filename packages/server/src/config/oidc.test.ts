import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

const environment = {
  AICM_OIDC_ISSUER: 'https://id.example/realm',
  AICM_OIDC_CLIENT_ID: 'aicm',
  AICM_OIDC_CLIENT_SECRET: 'hidden',
  AICM_OIDC_ROLES: 'urn:ops=admin,*=viewer',
}

test('groups and roles are read from flags and environment; the secret is told nobody', () => {
  const { oidc, given } = readConfig([], environment)
  expect(oidc).toMatchObject({ issuer: 'https://id.example/realm', groupsClaim: 'groups', url: undefined })
  expect(Object.fromEntries(oidc?.roles ?? [])).toEqual({ 'urn:ops': 'admin', '*': 'viewer' })
  expect(JSON.stringify(given)).not.toContain('hidden')
  const flags = readConfig(['--oidc-role', 'cn=ops,dc=example=member', '--oidc-url', 'https://a.example/'], environment)
  expect(Object.fromEntries(flags.oidc?.roles ?? [])).toEqual({ 'cn=ops,dc=example': 'member' })
  expect(flags.oidc?.url).toBe('https://a.example')
  expect(readConfig([], {}).oidc).toBeUndefined()
})

test('settings that let nobody in, or could be listened to, are refused', () => {
  for (const [name, value, message] of [
    ['AICM_OIDC_ISSUER', 'http://id.example', 'must be an https URL'],
    ['AICM_OIDC_ISSUER', 'id.example', 'must be an https URL'],
    ['AICM_OIDC_CLIENT_ID', '', 'needs --oidc-client-id'],
    ['AICM_OIDC_ROLES', '', 'needs --oidc-role'],
    ['AICM_OIDC_ROLES', 'ops=root', 'must be GROUP=ROLE'],
    ['AICM_OIDC_ROLES', '=admin', 'must be GROUP=ROLE'],
    ['AICM_OIDC_SCOPES', 'profile', 'must name openid'],
    ['AICM_OIDC_URL', 'a.example', 'must be an http or https URL'],
  ] as const)
    expect(() => readConfig([], { ...environment, [name]: value }), name).toThrow(message)
})
