import type { Tokens } from '@aicm/protocol'
import { seenOfFeature } from '../lib/http.ts'
import { notBuilt, type Row } from '../lib/row.ts'

const atOnce = 20

export const refresh: Row = {
  name: 'refresh',
  title: 'a rotated refresh token used again; one refresh token used many times at once',
  expected: 'the whole family is revoked; one wins at most',
  run: async (attack, attempt) => {
    await using target = await attack.own()
    const { ask, bob } = target
    const body = { username: bob.username, password: bob.password }
    const logIn = async () => (await ask('/v1/auth/login', { method: 'POST', body })).body as Tokens
    const rotate = (refreshToken: string) => ask('/v1/auth/refresh', { method: 'POST', body: { refreshToken } })
    const me = async (token: string) => (await ask('/v1/auth/me', { token })).seen

    const born = await logIn()
    const other = await logIn()
    // Behind /v1 nothing is told without a token, not even what is not there.
    const there = await ask('/v1/auth/refresh', { method: 'POST', body: {}, token: born.accessToken })
    if (seenOfFeature(there) === notBuilt) return attempt('a first use', '200', notBuilt)
    const rotated = await rotate(born.refreshToken)
    attempt('a first use', '200', rotated.seen)
    const next = rotated.body as Tokens
    attempt('the new access token', '200', await me(next.accessToken))
    // Longer than any grace for a client that did not get the answer.
    await new Promise((resolve) => setTimeout(resolve, attack.size === 'test' ? 0 : 15_000))
    await rotate(next.refreshToken)
    attempt('a second use', '401', (await rotate(born.refreshToken)).seen)
    attempt('the new refresh token after that', '401', (await rotate(next.refreshToken)).seen)
    attempt('the new access token after that', '401', await me(next.accessToken))
    attempt('another log-in of the same user', '200', (await rotate(other.refreshToken)).seen)

    const { refreshToken } = await logIn()
    const answers = await Promise.all(Array.from({ length: atOnce }, () => rotate(refreshToken)))
    const right = answers.filter(({ status }) => status === 200)
    const fresh = new Set(right.map((answer) => (answer.body as Tokens).refreshToken))
    attempt(`new refresh tokens of ${atOnce} uses at once`, '1 or 0', `${fresh.size}`)
    for (const answer of answers) attempt('one of many at once', '200 or 401', answer.seen)
    for (const bad of ['', 'x', born.accessToken, `${refreshToken}x`, 'x'.repeat(5000)])
      attempt(`a refresh token of ${bad.length} characters that is none`, '401 or 400', (await rotate(bad)).seen)
  },
}
