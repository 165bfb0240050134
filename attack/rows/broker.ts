import { once } from 'node:events'
import { createServer } from 'node:http'
import { scriptedApi } from '@aicm/broker'
import { openCanary } from '../lib/canary.ts'
import { openInside } from '../lib/inside.ts'
import type { Row } from '../lib/row.ts'

const key = 'sk-ant-canary-5f0a6c81e2'

/** The model API as the broker sees it, and what it was sent. */
const openUpstream = async () => {
  const seen: { host: string; key: string; bearer: string; attack: boolean }[] = []
  const api = scriptedApi({ record: false })
  const server = createServer((request, response) => {
    const { host = '', authorization: bearer = '' } = request.headers
    seen.push({ host, bearer, key: String(request.headers['x-api-key']), attack: 'x-attack' in request.headers })
    api.handler(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

export const broker: Row = {
  name: 'broker',
  title: 'broker, from inside a session: other host, other path, own x-api-key, CONNECT, over budget',
  expected: 'refused or replaced; an error event over budget',
  run: async (attack, attempt) => {
    await using upstream = await openUpstream()
    await using canary = await openCanary()
    await using target = await attack.own({
      flags: ['--model-api', 'live'],
      life: { env: { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: upstream.url } },
    })
    const { alice } = target
    await using inside = await openInside(alice.client)
    const found = await inside.run(`tr '\\0' '\\n' < /proc/$PPID/environ | grep -E '^ANTHROPIC_(API_KEY|UNIX_SOCKET)='`)
    const [token = '', socket = ''] = ['API_KEY', 'UNIX_SOCKET'].map(
      (name) => new RegExp(`ANTHROPIC_${name}=(\\S+)`).exec(found)?.[1],
    )
    attempt("the session's own token", 'is there', token.startsWith('aicm-') ? 'is there' : JSON.stringify(found))

    const body = `-H 'content-type: application/json' -d '{"model":"claude-x","max_tokens":5,"messages":[{"role":"user","content":"@text\\\\(x\\\\)"}]}'`
    const curl = async (options: string): Promise<string> => {
      const said = await inside.run(
        `curl -s -m 10 --unix-socket ${socket} -o /dev/null -w 'status %{http_code}' ${options}`,
      )
      return /status (\d+)/.exec(said)?.[1] ?? said
    }
    const mine = `-H 'x-api-key: ${token}' -H 'x-attack: yes'`
    const messages = 'http://localhost/v1/messages'
    attempt('its own token', '200', await curl(`${mine} ${body} ${messages}`))
    const reached = () => upstream.seen.filter(({ attack }) => attack).length
    const reachedBefore = reached()
    for (const [name, expected, options] of [
      ['no token', '401', `${body} ${messages}`],
      ['a key of its own', '401', `-H 'x-api-key: sk-ant-mine' ${body} ${messages}`],
      ['a token changed by a letter', '401', `-H 'x-api-key: ${token.slice(0, -1)}_' ${body} ${messages}`],
      ['another path', '404', `${mine} ${body} http://localhost/v1/models`],
      ['a path with ..', '404', `${mine} --path-as-is ${body} http://localhost/v1/messages/../organizations`],
      ['an encoded path', '404', `${mine} --path-as-is ${body} http://localhost/v1/messages/%2e%2e/files`],
      ['a double slash', '404', `${mine} --path-as-is ${body} http://localhost//v1/messages`],
      ['files', '404', `${mine} http://localhost/v1/files`],
      ['GET', '405', `${mine} ${messages}`],
      [
        'a whole address of another host',
        '400 or 404',
        `${mine} ${body} --request-target ${canary.url}/v1/messages ${messages}`,
      ],
      ['CONNECT', '405', `${mine} -X CONNECT --request-target 127.0.0.1:${canary.port} http://localhost/`],
      ['the control of the broker', '404', `${mine} http://localhost/status`],
      ['its configuration', '404', `${mine} -X PUT ${body} http://localhost/config`],
    ] as const)
      attempt(name, expected, await curl(options))
    attempt('what of it the model API saw', '0', `${reached() - reachedBefore}`)

    const other = `-H 'host: evil.example' -H 'authorization: Bearer sk-mine' -H 'x-forwarded-host: evil.example'`
    attempt('another Host, another Authorization', '200', await curl(`${mine} ${other} ${body} ${messages}`))
    const host = new URL(upstream.url).host
    const wrong = upstream.seen.filter((one) => one.host !== host || one.key !== key || one.bearer !== '')
    attempt('requests with another host or key than ours', '0', `${wrong.length}`)
    attempt('what the other host heard', '0', `${canary.heard.length}`)
    const everywhere = await inside.run(
      `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; env; grep -rs 'sk-ant-canary' "$HOME" . /run /tmp 2>/dev/null | head -3`,
    )
    // The command itself names the first half only.
    attempt('the real key, inside', 'not there', everywhere.includes(key) ? 'there' : 'not there')

    const { id } = await alice.client.sessions.create({ budget: { usd: 0 } })
    const session = alice.client.session(id)
    const before = upstream.seen.length
    session.execute('@text(too dear)').accepted.catch(() => undefined)
    let error = 'no error'
    for await (const item of session.events()) {
      if (item.type === 'error') error = item.code
      if (item.type === 'complete') break
    }
    attempt('over budget', 'budget_exceeded', error)
    attempt('calls over budget that the model API saw', '0', `${upstream.seen.length - before}`)
    await alice.client.sessions.delete(id)
  },
}
