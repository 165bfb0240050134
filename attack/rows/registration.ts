import { until } from '@aicm/testing/until'
import { firstMatch, startChild } from '../../bench/lib/child.ts'
import { temporaryFolder } from '../../bench/lib/folder.ts'
import { realClaude } from '../../bench/lib/programs.ts'
import { endLeftovers, serverCommand } from '../../bench/lib/server.ts'
import { send } from '../lib/http.ts'
import type { Row } from '../lib/row.ts'

const guesses = ['', 'admin', 'password', 'aicm', 'changeme', 'root', 'undefined', 'null']

export const registration: Row = {
  name: 'registration',
  title: 'registration of oneself; the first admin',
  expected: 'closed; a one-time secret, printed once on the console',
  run: async (attack, attempt) => {
    const { ask, bob } = await attack.shared()
    const account = { username: 'mallory', password: 'correct horse battery staple' }
    for (const path of ['/v1/auth/register', '/v1/register', '/v1/signup', '/v1/users', '/v1/setup']) {
      const body = { ...account, role: 'admin' }
      attempt(`POST ${path} without a token`, '401', (await ask(path, { method: 'POST', body })).seen)
      attempt(
        `POST ${path} by a member`,
        '403 or 404',
        (await ask(path, { method: 'POST', body, token: bob.token })).seen,
      )
    }
    attempt(
      'a log-in of who is not there',
      '401',
      (await ask('/v1/auth/login', { method: 'POST', body: account })).seen,
    )

    // A server as its first user starts it: nobody has said a password.
    await using folder = await temporaryFolder(attack.scope)
    await using _ = attack.scope.own(() => endLeftovers(folder.path))
    const command = serverCommand(attack, { dataDir: folder.path, claude: realClaude() })
    const { AICM_ADMIN_PASSWORD: __, ...env } = command.env
    const printed: string[] = []
    for (const life of [1, 2]) {
      await using child = await startChild(attack.scope, { argv: command.argv, env })
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
      const url = await firstMatch(child, /listens on (\S+)/)
      await until('all is said', () => text.includes('API reference'))
      for (const password of guesses) {
        const body = { username: 'admin', password }
        attempt(
          `start ${life}: the password ${JSON.stringify(password)}`,
          '401 or 400',
          (await send(url, '/v1/auth/login', { method: 'POST', body })).seen,
        )
      }
      attempt(
        `start ${life}: a password made in the browser`,
        '401 or 403 or 404',
        (await send(url, '/v1/users', { method: 'POST', body: { ...account, role: 'admin' } })).seen,
      )
      child.stdout.resume()
      printed.push(text)
    }
    const secrets = printed.map((text) => text.match(/(?:password|token)\s+[\w-]{16,}\s*$/gim) ?? [])
    attempt('the first start prints a secret', '1', `${secrets[0]?.length}`)
    attempt('the second start prints one', '0', `${secrets[1]?.length}`)
  },
}
