import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { join, normalize } from 'node:path'
import { buffer } from 'node:stream/consumers'

export type GitServer = AsyncDisposable & { url: string; requests: string[] }

/** A repository with one commit on `main` and one on `other`: `repository.git` in `dir`. */
const makeRepository = (dir: string): void => {
  const work = join(dir, 'work')
  mkdirSync(work, { recursive: true })
  const git = (cwd: string, ...args: string[]): void =>
    void execFileSync('git', args, {
      cwd,
      stdio: 'pipe',
      env: { PATH: process.env.PATH, HOME: dir, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
    })
  const commit = (message: string): void =>
    git(work, '-c', 'user.name=Test', '-c', 'user.email=test@example.org', 'commit', '--quiet', '--message', message)
  git(work, 'init', '--quiet', '--initial-branch=main')
  writeFileSync(join(work, 'README.md'), 'from main\n')
  git(work, 'add', '.')
  commit('first')
  git(work, 'switch', '--quiet', '--create', 'other')
  writeFileSync(join(work, 'README.md'), 'from other\n')
  git(work, 'add', '.')
  commit('second')
  git(work, 'switch', '--quiet', 'main')
  const bare = join(dir, 'repository.git')
  git(dir, 'clone', '--quiet', '--bare', work, bare)
  git(bare, 'update-server-info')
}

/** A repository (see makeRepository), served as files ("dumb" HTTP) on loopback. */
export const gitServer = async (dir: string): Promise<GitServer> => {
  makeRepository(dir)
  return serveFiles(dir)
}

/** The same by git's own program ("smart" HTTP), over TLS where a certificate is given. */
export const smartGitServer = (dir: string, certificate?: { cert: string; key: string }): Promise<GitServer> => {
  makeRepository(dir)
  return serve('127.0.0.1', (request, response) => answerBySmartGit(dir, request, response), certificate)
}

/** As a web server runs a CGI program. */
const answerBySmartGit = (dir: string, request: IncomingMessage, response: ServerResponse): void => {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
  const { headers } = request
  const backend = spawn('git', ['http-backend'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...{ PATH: process.env.PATH, HOME: dir, GIT_PROJECT_ROOT: dir, GIT_HTTP_EXPORT_ALL: '1', PATH_INFO: path },
      ...{ QUERY_STRING: query, REQUEST_METHOD: request.method, GIT_PROTOCOL: String(headers['git-protocol'] ?? '') },
      ...{ CONTENT_TYPE: headers['content-type'] ?? '', HTTP_CONTENT_ENCODING: headers['content-encoding'] ?? '' },
      // Tests run as root, in folders of whom they like.
      ...{ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' },
    },
  })
  request.pipe(backend.stdin)
  backend.stdin.on('error', () => undefined)
  void buffer(backend.stdout).then((answer) => {
    const end = answer.indexOf('\r\n\r\n')
    for (const line of answer.subarray(0, end).toString('latin1').split('\r\n')) {
      const [name = '', value = ''] = line.split(': ', 2)
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
      else response.setHeader(name, value)
    }
    response.end(answer.subarray(end + 4))
  })
}

/** Serves the files of a folder: to git, a repository in it that has been told of it (`update-server-info`). */
export const serveFiles = (dir: string, address = '127.0.0.1'): Promise<GitServer> =>
  serve(address, (request, response) => {
    try {
      response.end(readFileSync(join(dir, pathOf(request))))
    } catch {
      response.writeHead(404).end()
    }
  })

const pathOf = ({ url = '/' }: IncomingMessage): string => normalize(decodeURIComponent(url.split('?', 1)[0] ?? '/'))

const serve = async (
  address: string,
  answer: RequestListener,
  certificate?: { cert: string; key: string },
): Promise<GitServer> => {
  const requests: string[] = []
  const listener: RequestListener = (request, response) => {
    requests.push(pathOf(request))
    answer(request, response)
  }
  const server =
    certificate === undefined
      ? createServer(listener)
      : createSecureServer({ cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) }, listener)
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://${address}:${bound.port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
