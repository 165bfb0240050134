import { allRoutes, pathWith, unknownId, validBody } from '../../e2e/lib/routes.ts'
import { frame, openFrames, opcodes } from '../lib/frames.ts'
import { codeOf, parsed } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'

/** An answer without what differs by itself: ids and times. */
const plain = (text: string, id: string): string => text.replaceAll(id, 'ID').replaceAll(/req_[0-9a-z]+/g, 'REQUEST')

export const others: Row = {
  name: 'others',
  title: "another user's session, log, cursor, approval and workspace, over HTTP and WebSocket",
  expected: '404, word by word like an unknown one',
  run: async (attack, attempt) => {
    const { ask, url, alice, bob } = await attack.shared()
    const session = await alice.client.sessions.create()
    const handle = alice.client.session(session.id)
    handle.execute('@write(a.txt|b)').accepted.catch(() => undefined)
    let approvalId = ''
    for await (const item of handle.events()) {
      if (item.type !== 'approval') continue
      approvalId = item.approvalId
      break
    }
    const idOf = (tag: string): string | undefined =>
      ({ sessions: session.id, workspaces: session.workspaceId, approvals: approvalId })[tag]

    for (const route of allRoutes.filter(({ path }) => path.includes(':id'))) {
      const mine = idOf(route.tag)
      if (mine === undefined) continue
      const call = (id: string, query = '') =>
        ask(`${pathWith(route, id)}${query}`, {
          method: route.method,
          token: bob.token,
          ...(route.body === undefined ? {} : { body: validBody(route) }),
        })
      const name = `${route.method} ${route.path}`
      const [foreign, unknown] = [await call(mine), await call(unknownId(route))]
      // What only administrators may do with any: it is refused before it is looked for.
      attempt(name, route.auth === 'server.manage' ? '403 forbidden' : '404', foreign.seen)
      const same = plain(foreign.text, mine) === plain(unknown.text, unknownId(route))
      attempt(`${name}, beside an unknown one`, 'the same', same ? 'the same' : `${foreign.text} ${unknown.text}`)
      if (route.id !== 'listEvents') continue
      for (const after of ['0', '1', '999999', '1:0.0:5'])
        attempt(`${name} after ${after}`, '404 or 400', (await call(mine, `?after=${after}`)).seen)
      const stream = await ask(pathWith(route, mine), {
        token: bob.token,
        headers: { accept: 'text/event-stream', 'last-event-id': '1' },
      })
      attempt(`${name} as a stream`, '404', stream.seen)
    }
    for (const [path, expected] of [
      [`/v1/approvals?sessionId=${session.id}`, '404'],
      ['/v1/approvals', '200'],
      ['/v1/sessions', '200'],
      [`/v1/sessions?workspaceId=${session.workspaceId}`, '200'],
      ['/v1/workspaces', '200'],
    ] as const) {
      const answer = await ask(path, { token: bob.token })
      attempt(`GET ${path}`, expected, answer.seen)
      const told = [session.id, session.workspaceId, approvalId].filter((id) => answer.text.includes(id))
      attempt(
        `GET ${path}: what it tells of it`,
        'nothing',
        expected === '404' || told.length === 0 ? 'nothing' : told.join(),
      )
    }
    for (const body of [{ workspaceId: session.workspaceId }, { prompt: 'x', workspaceId: session.workspaceId }]) {
      const path = 'prompt' in body ? '/v1/execute' : '/v1/sessions'
      attempt(`POST ${path} in it`, '404', (await ask(path, { method: 'POST', token: bob.token, body })).seen)
    }

    using socket = await openFrames(url, bob.token)
    const asked = async (message: object): Promise<string> => {
      socket.write(frame(opcodes.text, JSON.stringify({ ref: 'r', ...message })))
      while (true) {
        const found = await socket.next()
        if (found === undefined) return 'closed'
        const value = parsed(found.payload.toString('utf8'))
        const code = codeOf(value)
        if (code !== undefined) return JSON.stringify(value)
        if (found.payload.includes('"ref":"r"')) return found.payload.toString('utf8')
      }
    }
    const unknown = 'ses_0123456789abcdefghjkmnpqrs'
    for (const message of [
      { type: 'subscribe' },
      { type: 'subscribe', after: '1' },
      { type: 'execute', prompt: 'x' },
      { type: 'interrupt' },
      { type: 'unsubscribe' },
    ]) {
      const [foreign, none] = [
        await asked({ ...message, sessionId: session.id }),
        await asked({ ...message, sessionId: unknown }),
      ]
      const same = plain(foreign, session.id) === plain(none, unknown)
      attempt(`${message.type} over the WebSocket`, 'the same', same ? 'the same' : `${foreign} ${none}`)
    }
    const approve = (id: string) => asked({ type: 'approve', approvalId: id, decision: { decision: 'allow' } })
    const nobodys = 'apr_0123456789abcdefghjkmnpqrs'
    const [foreign, none] = [await approve(approvalId), await approve(nobodys)]
    attempt(
      'approve over the WebSocket',
      'the same',
      plain(foreign, approvalId) === plain(none, nobodys) && foreign.includes('approval_not_found')
        ? 'the same'
        : `${foreign} ${none}`,
    )
    const { state } = (await alice.client.approvals.list({ sessionId: session.id }))[0] ?? { state: 'gone' }
    attempt('the permission request afterwards', 'pending', state)
    attempt('the session afterwards', 'running', (await alice.client.sessions.get(session.id)).status)
    await alice.client.sessions.delete(session.id)
  },
}
