import { until } from '@aicm/testing/until'
import { openCanary } from '../lib/canary.ts'
import { seenOfFeature } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'

export const urls: Row = {
  name: 'urls',
  title: 'a webhook, MCP or git URL to loopback, link-local, or by redirect',
  expected: 'refused after resolution',
  run: async (attack, attempt) => {
    await using canary = await openCanary()
    await using redirect = await openCanary(`${canary.url}/redirected`)
    const { ask, alice } = await attack.shared()
    const post = (path: string, body: object) => ask(path, { method: 'POST', token: alice.token, body })
    const inward = [
      canary.url,
      `http://localhost:${canary.port}`,
      `http://127.1:${canary.port}`,
      `http://2130706433:${canary.port}`,
      `http://0x7f000001:${canary.port}`,
      `http://[::ffff:127.0.0.1]:${canary.port}`,
      `http://0.0.0.0:${canary.port}`,
      'http://169.254.169.254/latest/meta-data',
      'http://[fe80::1]/',
    ]
    for (const url of inward) {
      for (const [name, path, body] of [
        ['a webhook', '/v1/webhooks', { url, events: ['complete'] }],
        ['an MCP server', '/v1/mcp-servers', { name: 'x', url }],
      ] as const)
        attempt(`${name} at ${url}`, '400 or 403', seenOfFeature(await post(path, body)))
    }

    // The server itself clones, as itself and past every wall.
    for (const [at, url] of [...inward.slice(0, 7), redirect.url].entries()) {
      const answer = await post('/v1/workspaces', { name: `inward-${at}`, gitUrl: `${url}/x.git` })
      attempt(`a clone from ${url.replaceAll(/\d{4,5}(?=$|\/)/g, 'PORT')}`, '400 or 403', answer.seen)
      if (answer.status !== 201) continue
      const { id } = answer.body as { id: string }
      await until('the clone has ended', async () => (await alice.client.workspaces.get(id)).status !== 'cloning')
      await alice.client.workspaces.delete(id)
    }
    attempt('requests that arrived inside', '0', `${canary.heard.length + redirect.heard.length}`)
  },
}
