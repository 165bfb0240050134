import { actionOfRoute, routes, type AuditEntry } from '@aicm/protocol'
import { until } from '@aicm/testing/until'
import { allRoutes, pathWith, unknownId, validBody } from '../../e2e/lib/routes.ts'
import { frame, openFrames, opcodes } from '../lib/frames.ts'
import { freshAddress } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'
import { nextAnswer } from '../lib/ws-cases.ts'

export const privilegedKeys: Row = {
  name: 'privileged-keys',
  title: 'unknown and privileged keys in a body: userId, role, permissionMode, env, command, mcpServers …',
  expected: '400 or 403; audited',
  run: async (attack, attempt) => {
    // Of its own: the audit log tells so many kinds of refusals a minute apart, and other rows make some.
    await using target = await attack.own()
    const { ask, url, alice, bob } = target
    const from = freshAddress()
    const { seq: before } = await alice.client.call(routes.audit.head, {})
    const extras: Record<string, unknown> = {
      userId: alice.userId,
      role: 'admin',
      isAdmin: true,
      permissionMode: 'bypassPermissions',
      dangerouslySkipPermissions: true,
      env: { LD_PRELOAD: '/tmp/x.so' },
      command: 'id',
      args: ['--dangerously-skip-permissions'],
      cwd: '/',
      mcpServers: { x: { command: 'id' } },
      settings: { hooks: {} },
      isolation: 'none',
      oneShot: true,
      status: 'idle',
      createdAt: 0,
      'user.id': 'x',
      'role[]': 'admin',
    }
    const tried = allRoutes.filter(({ body }) => body !== undefined)
    for (const route of tried)
      for (const [key, value] of Object.entries(extras)) {
        const answer = await ask(pathWith(route, unknownId(route)), {
          method: route.method,
          token: bob.token,
          from,
          body: { ...validBody(route), [key]: value },
        })
        attempt(`${route.method} ${route.path} with ${key}`, '400 or 403', answer.seen)
      }
    using socket = await openFrames(url, bob.token)
    for (const [key, value] of Object.entries(extras)) {
      socket.write(frame(opcodes.text, JSON.stringify({ type: 'ping', ref: 'x', [key]: value })))
      attempt(`a WebSocket message with ${key}`, 'error invalid_request', await nextAnswer(socket))
    }
    for (const query of ['userId=x', 'role=admin', 'all=true', '__proto__=1', 'limit[$gt]=1'])
      attempt(`GET /v1/sessions?${query}`, '400', (await ask(`/v1/sessions?${query}`, { token: bob.token })).seen)

    // Entries are written in order, and the messages came last. Of what is repeated the first are told one by one.
    const list = async (action?: 'ws.message') => {
      const query = { after: before, limit: 2000, result: 'refused' as const, ...(action && { action }) }
      return (await alice.client.call(routes.audit.list, { query })).entries
    }
    const byBob = ({ userId }: AuditEntry): boolean => userId === bob.userId
    const message = await until('the last message is told', async () => (await list('ws.message')).find(byBob))
    attempt('the audit log has ws.message', 'refused invalid_request', `${message.result} ${message.code}`)
    const entries = await list()
    for (const route of tried) {
      const action = actionOfRoute(route.id)
      const isIt = (entry: AuditEntry): boolean =>
        entry.action === action && (route.auth === 'none' ? entry.address === from : byBob(entry))
      const entry = entries.find(isIt)
      attempt(`the audit log has ${action}`, 'refused', entry === undefined ? 'not told' : `refused ${entry.code}`)
    }
  },
}
