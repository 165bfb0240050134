import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join, normalize } from 'node:path'

export type GitServer = AsyncDisposable & { url: string; requests: string[] }

/** A repository with one commit on `main` and one on `other`, served as files ("dumb" HTTP) on loopback. */
export const gitServer = async (dir: string): Promise<GitServer> => {
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

  return serveFiles(dir)
}

/** Serves the files of a folder: to git, a repository in it that has been told of it (`update-server-info`). */
export const serveFiles = async (dir: string, address = '127.0.0.1'): Promise<GitServer> => {
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent((request.url ?? '/').split('?', 1)[0] ?? '/'))
    requests.push(path)
    try {
      response.end(readFileSync(join(dir, path)))
    } catch {
      response.writeHead(404).end()
    }
  })
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('no port')
  return {
    url: `http://${address}:${bound.port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
