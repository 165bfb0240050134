import type { Client } from '@aicm/client'
import { frame, openFrames, opcodes } from '../lib/frames.ts'
import { codeOf, parsed } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'

const pendingIn = async (client: Client, sessionId: string): Promise<string> => {
  const answered = new Set<string>()
  for await (const item of client.session(sessionId).events()) {
    if (item.type !== 'approval') continue
    if (item.state !== 'pending') answered.add(item.approvalId)
    else if (!answered.has(item.approvalId)) return item.approvalId
  }
  throw new Error('the stream has ended')
}

const atOnce = 10

export const approvals: Row = {
  name: 'approvals',
  title: 'an approval of another session, answered twice, by many at once, forged, late',
  expected: 'one answer wins; 404 or 409',
  run: async (attack, attempt) => {
    const { ask, url, alice, bob } = await attack.shared()
    const { client } = alice
    const answer = async (id: string, token: string, decision: object = { decision: 'allow' }) =>
      (await ask(`/v1/approvals/${id}`, { method: 'POST', token, body: decision })).seen
    const session = await client.sessions.create()
    const start = async (prompt: string) => {
      const turn = client.session(session.id).execute(prompt)
      await turn.accepted
      return { turn, id: await pendingIn(client, session.id) }
    }

    const first = await start('@write(one.txt|x) @text(one)')
    attempt("another user's", '404', await answer(first.id, bob.token))
    attempt('a forged id', '404', await answer('apr_0123456789abcdefghjkmnpqrs', alice.token))
    attempt(
      'an id changed by a letter',
      '404',
      await answer(`${first.id.slice(0, -1)}${first.id.endsWith('0') ? '1' : '0'}`, alice.token),
    )
    attempt("a session's id", '400 or 404', await answer(session.id, alice.token))
    for (const decision of [
      {},
      { decision: 'maybe' },
      { decision: 'allow', userId: bob.userId },
      { decision: 'allow', updatedInput: 'rm -rf /' },
      { decision: ['allow'] },
    ])
      attempt(`an answer ${JSON.stringify(decision)}`, '400', await answer(first.id, alice.token, decision))

    // Half of them over HTTP, half over WebSockets.
    const overSocket = async (): Promise<string> => {
      using socket = await openFrames(url, alice.token)
      const message = { type: 'approve', ref: 'a', approvalId: first.id, decision: { decision: 'deny' } }
      socket.write(frame(opcodes.text, JSON.stringify(message)))
      while (true) {
        const value = parsed((await socket.next())?.payload.toString('utf8') ?? 'null')
        const code = codeOf(value)
        if (code !== undefined) return code === 'approval_already_answered' ? `409 ${code}` : code
        if (typeof value === 'object' && value !== null && 'type' in value && value.type === 'approved') return '200'
        if (value === null) return 'closed'
      }
    }
    const seen = await Promise.all(
      Array.from({ length: atOnce }, (_, at) => (at % 2 === 0 ? answer(first.id, alice.token) : overSocket())),
    )
    attempt(`answers that count of ${atOnce} at once`, '1', `${seen.filter((one) => one === '200').length}`)
    for (const one of seen) attempt('one of many answers', '200 or 409', one)
    await first.turn.complete()
    attempt('after its turn has ended', '409', await answer(first.id, alice.token))

    const second = await start('@write(two.txt|x) @text(two)')
    await client.session(session.id).interrupt()
    await second.turn.complete()
    attempt('after its turn was interrupted', '409 or 404', await answer(second.id, alice.token))
    const third = await start('@write(three.txt|x) @text(three)')
    attempt('an earlier one, while another waits', '409 or 404', await answer(second.id, alice.token))
    await client.sessions.delete(session.id)
    attempt('of a session that was deleted', '404', await answer(third.id, alice.token))
    third.turn.complete().catch(() => undefined)
  },
}
