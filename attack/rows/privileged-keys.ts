import { allRoutes, pathWith, unknownId, validBody } from '../../e2e/lib/routes.ts'
import { frame, openFrames, opcodes } from '../lib/frames.ts'
import { seenOfFeature } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'
import { nextAnswer } from '../lib/ws-cases.ts'

export const privilegedKeys: Row = {
  name: 'privileged-keys',
  title: 'unknown and privileged keys in a body: userId, role, permissionMode, env, command, mcpServers …',
  expected: '400 or 403; audited',
  run: async (attack, attempt) => {
    const { ask, url, alice, bob } = await attack.shared()
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
    for (const route of allRoutes.filter(({ body }) => body !== undefined))
      for (const [key, value] of Object.entries(extras)) {
        const answer = await ask(pathWith(route, unknownId(route)), {
          method: route.method,
          token: bob.token,
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
    attempt('what the audit log says', '200', seenOfFeature(await ask('/v1/audit', { token: alice.token })))
  },
}
