import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { routes } from '@aicm/protocol'
import { freePort } from '@aicm/testing/run-server'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { Provider } from 'oidc-provider'

type Person = { sub: string; preferred_username?: string; groups?: string[] }

/** A real OpenID provider in this process, on loopback. Who sits before the browser needs no password there. */
export type TestProvider = AsyncDisposable & { person: Person }

export const startProvider = async (given: {
  port: number
  client: { id: string; secret: string; redirectUri: string }
}): Promise<TestProvider> => {
  const { port, client } = given
  const people = new Map<string, Person>()
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [{ client_id: client.id, client_secret: client.secret, redirect_uris: [client.redirectUri] }],
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, sub) => ({ accountId: sub, claims: async () => ({ ...people.get(sub), sub }) }),
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
    loadExistingGrant: async ({ oidc }) => {
      const accountId = oidc.session?.accountId
      const grant = new provider.Grant({ clientId: client.id, ...(accountId === undefined ? {} : { accountId }) })
      grant.addOIDCScope('openid profile email')
      await grant.save()
      return grant
    },
    pkce: { required: () => true },
  })
  const answer = provider.callback()
  const http = createServer((request, response) => {
    if (!request.url?.startsWith('/interaction/')) return void answer(request, response)
    // A real browser comes back from a form that was sent, as it does from most providers.
    if (request.method === 'GET' && request.headers['sec-fetch-mode'] === 'navigate')
      return void response
        .setHeader('content-type', 'text/html')
        .end('<title>Provider</title><form method="post"><button>Continue</button></form>')
    const { person } = running
    people.set(person.sub, person)
    void provider.interactionFinished(request, response, { login: { accountId: person.sub } })
  })
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  const running: TestProvider = {
    person: { sub: 'nobody' },
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections()
      http.close()
    },
  }
  return running
}

/** Settings of a server for a provider at this port. */
export const oidcSettings = (port: number, secret: string): { args: string[]; env: Record<string, string> } => ({
  args: [
    ...['--oidc-issuer', `http://127.0.0.1:${port}`, '--oidc-client-id', 'aicm'],
    ...['--oidc-role', 'ops=admin', '--oidc-role', 'dev=member'],
  ],
  env: { AICM_OIDC_CLIENT_SECRET: secret },
})

export const startServerWithProvider = async (
  args: string[] = [],
): Promise<{ server: TestServer; provider: TestProvider } & AsyncDisposable> => {
  const port = await freePort()
  const secret = 'a secret of client and provider'
  const settings = oidcSettings(port, secret)
  const server = await startTestServer({ ...settings, claude: 'fake', args: [...settings.args, ...args] })
  const redirectUri = `${server.url}${routes.oidc.callback.path}`
  const provider = await startProvider({ port, client: { id: 'aicm', secret, redirectUri } })
  return {
    server,
    provider,
    [Symbol.asyncDispose]: async () => {
      await server.stop()
      await provider[Symbol.asyncDispose]()
    },
  }
}

/** As much of a browser as a log-in needs: cookies, and redirects one by one. */
export type ScriptedBrowser = {
  fetch(url: URL | string, init?: RequestInit): Promise<Response>
  /** Where it is sent to by this address. */
  sentTo(url: URL | string): Promise<URL>
  /** The first address at `origin` to which it is sent, not opened yet. */
  followTo(origin: string, from: URL): Promise<URL>
}

const mostRedirects = 10

export const openBrowser = (): ScriptedBrowser => {
  const cookies = new Map<string, string>()

  const open: ScriptedBrowser['fetch'] = async (url, init = {}) => {
    const { origin } = new URL(url)
    const cookie = [...cookies].flatMap(([name, value]) =>
      name.startsWith(`${origin} `) ? [`${name.slice(origin.length + 1)}=${value}`] : [],
    )
    const headers = { ...(init.headers as Record<string, string>), cookie: cookie.join('; ') }
    const response = await fetch(url, { ...init, redirect: 'manual', headers })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(`${origin} ${name}`, value)
    }
    return response
  }

  const sentTo: ScriptedBrowser['sentTo'] = async (url) => {
    const response = await open(url)
    const location = response.headers.get('location')
    if (location === null) throw new Error(`${url} answers ${response.status}: ${await response.text()}`)
    return new URL(location, url)
  }

  return {
    fetch: open,
    sentTo,
    followTo: async (origin, from) => {
      let at = from
      for (let count = 0; at.origin !== origin; count++) {
        if (count >= mostRedirects) throw new Error(`too many redirects, the last to ${at}`)
        at = await sentTo(at)
      }
      return at
    },
  }
}
