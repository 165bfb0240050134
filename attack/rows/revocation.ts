import type { Tokens } from '@aicm/protocol'
import { openFrames, opcodes } from '../lib/frames.ts'
import { seenOfFeature, type Answer } from '../lib/http.ts'
import { notBuilt, type Row, type Try } from '../lib/row.ts'
import type { Person, Target } from '../lib/target.ts'
import { seenOfFrame } from '../lib/ws-cases.ts'

/** An open WebSocket is to be told within this. */
const closeMs = 1000

const logIn = async ({ ask }: Target, { username, password }: Person): Promise<Tokens> =>
  (await ask('/v1/auth/login', { method: 'POST', body: { username, password } })).body as Tokens

/** Whether the tokens are dead everywhere after `act`, on a connection that was open before too, and after a restart. */
const dead = async (
  target: Target,
  attempt: Try,
  name: string,
  tokens: Tokens,
  act: () => Promise<Answer>,
): Promise<void> => {
  const { accessToken, refreshToken } = tokens
  using socket = await openFrames(target.url, accessToken)
  const closed = (async () => {
    while (true) {
      const found = await socket.next()
      if (found === undefined || found.opcode === opcodes.close) return seenOfFrame(found)
    }
  })()
  const seen = seenOfFeature(await act())
  attempt(name, '200 or 204', seen)
  if (seen === notBuilt) return
  const late = new Promise<string>((resolve) => setTimeout(resolve, closeMs, 'still open'))
  const ended = await Promise.race([closed, late])
  attempt(`${name}: an open WebSocket`, 'closed', ended.startsWith('close') ? 'closed' : ended)
  const use = async (when: string): Promise<void> => {
    attempt(`${name}: the access token ${when}`, '401', (await target.ask('/v1/auth/me', { token: accessToken })).seen)
    const refreshed = await target.ask('/v1/auth/refresh', { method: 'POST', body: { refreshToken } })
    attempt(`${name}: the refresh token ${when}`, '401', seenOfFeature(refreshed))
  }
  await use('afterwards')
  await target.server.kill()
  await (
    await target.server.start()
  ).ready
  await use('after a restart')
}

export const revocation: Row = {
  name: 'revocation',
  title: 'a token after logout, password change and removal of its user, also on an open WebSocket',
  expected: '401; closed < 1 s; survives a restart',
  run: async (attack, attempt) => {
    await using target = await attack.own()
    const { ask, alice, bob } = target

    const first = await logIn(target, bob)
    await dead(target, attempt, 'logout', first, () =>
      ask('/v1/auth/logout', { method: 'POST', token: first.accessToken }),
    )
    const second = await logIn(target, bob)
    const newPassword = 'another correct horse battery staple'
    await dead(target, attempt, 'password change', second, () =>
      ask('/v1/auth/password', {
        method: 'POST',
        // The login that changes it goes on; all others end.
        token: bob.token,
        body: { currentPassword: bob.password, newPassword },
      }),
    )
    const third = await logIn(target, { ...bob, password: newPassword })
    await dead(target, attempt, 'removal of its user', third, () =>
      ask(`/v1/users/${bob.userId}`, { method: 'DELETE', token: alice.token }),
    )
    attempt("another's token", '200', (await ask('/v1/auth/me', { token: alice.token })).seen)
  },
}
