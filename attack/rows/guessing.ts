import { freshAddress } from '../lib/http.ts'
import { usualLimits } from '../lib/limits.ts'
import type { Row } from '../lib/row.ts'

/** More wrong passwords than anybody types. */
const guesses = { full: 100, quick: 60, test: 60 }

export const guessing: Row = {
  name: 'guessing',
  title: 'password guessing: one account, many accounts, rotating addresses, forged X-Forwarded-For',
  expected: '429 with Retry-After, per account and per network; the right password of others works',
  run: async (attack, attempt) => {
    const attacks: [string, (at: number) => { username: string; from: string; forwarded?: string }][] = [
      ['one account from one address', () => ({ username: 'bob', from: '127.9.0.1' })],
      ['many accounts from one address', (at) => ({ username: `user-${at}`, from: '127.9.0.2' })],
      ['one account from rotating addresses', () => ({ username: 'bob', from: freshAddress() })],
      [
        'one address that forges X-Forwarded-For',
        (at) => ({ username: `name-${at}`, from: '127.9.0.3', forwarded: `203.0.113.${at}` }),
      ],
    ]
    const most = guesses[attack.size]
    for (const [name, how] of attack.size === 'test' ? attacks.slice(2) : attacks) {
      await using target = await attack.own({ flags: usualLimits })
      const { ask } = target
      let limited = 0
      for (let at = 0; at < most && limited === 0; at++) {
        const { username, from, forwarded } = how(at)
        const answer = await ask('/v1/auth/login', {
          ...{ method: 'POST', from, body: { username, password: `guess ${at}` } },
          headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded, forwarded: `for=${forwarded}` },
        })
        if (answer.status !== 429) continue
        limited = at + 1
        attempt(`${name}: Retry-After`, 'said', answer.headers['retry-after'] === undefined ? 'not said' : 'said')
      }
      attempt(name, 'limited', limited > 0 ? `limited after ${limited - 1}` : `${most} guesses allowed`)
      const body = { username: 'admin', password: target.alice.password }
      attempt(`${name}: somebody else elsewhere`, '200', (await ask('/v1/auth/login', { method: 'POST', body })).seen)
    }
  },
}
