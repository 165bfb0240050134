import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import type { Workspace } from '@aicm/protocol'
import { findProcesses } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { startTestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, expect } from 'vitest'
import { openCanary } from '../attack/lib/canary.ts'
import { makeCertificate } from './lib/certificates.ts'
import { gitServer, smartGitServer, type GitServer } from './lib/git-server.ts'
import { serve } from './lib/serve.ts'

const test = requires('claude', 'linux', 'git')
let dir: string
let git: GitServer

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aicm-clone-walls-'))
  git = await gitServer(dir)
})
afterAll(async () => {
  await git?.[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
})

const settled = (client: Client, id: string): Promise<Workspace> =>
  until('the clone has ended', async () => {
    const workspace = await client.workspaces.get(id)
    return workspace.status !== 'cloning' && workspace
  })

const ofClone = (id: string) => findProcesses(({ environment }) => environment.includes(`AICM_CLONE=${id}`))
const gitOf = (id: string) => ofClone(id).filter(({ argv }) => argv.some((part) => part.endsWith('remote-http')))

/** A server of one repository, which never answers; or which has one object, that never ends. */
const openTrap = async (kind: 'silent' | 'endless') => {
  const served = await serve((request, response) => {
    if (kind === 'silent') return
    if (request.url?.includes('/info/refs') === true) return void response.end(`${'a'.repeat(40)}\trefs/heads/main\n`)
    if (request.url?.endsWith('/HEAD') === true) return void response.end('ref: refs/heads/main\n')
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16)));
    }
    response.on('drain', more)
    more()
  })
  return { ...served, url: `${served.url}/x.git` }
}

for (const level of ['sealed', 'sandbox', 'process', 'none'] as const)
  requires(
    'claude',
    'linux',
    'git',
    ...(level === 'sealed' || level === 'sandbox' ? (['bwrap'] as const) : []),
  )(
    `in ${level} a clone comes from where it may, and from nowhere else, by no redirect`,
    async () => {
      await using server = await startTestServer({ args: ['--isolation', level, '--clone-from', '127.0.0.1'] })
      await using canary = await openCanary({ address: '127.0.0.3' })
      await using redirect = await openCanary({ redirectTo: `${canary.url}/x.git` })
      const client = await server.client()
      const clone = async (name: string, gitUrl: string) =>
        settled(client, (await client.workspaces.create({ name, gitUrl })).id)
      const good = await clone('good', `${git.url}/repository.git`)
      expect(good).toMatchObject({ status: 'ready', error: null })
      expect(readFileSync(join(good.path, 'README.md'), 'utf8')).toBe('from main\n')
      expect(readFileSync(join(good.path, '.git', 'config'), 'utf8')).not.toContain('proxy')
      for (const [name, url] of [
        ['straight', canary.url],
        ['by-redirect', redirect.url],
      ] as const)
        expect(await clone(name, `${url}/x.git`)).toMatchObject({
          status: 'failed',
          error: expect.stringMatching(/^address_refused: 127\.0\.0\.3 .*--clone-from 127\.0\.0\.3$/),
        })
      expect(redirect.heard).toHaveLength(1)
      expect(canary.heard).toEqual([])
      expect(await clone('nobody', 'http://nobody.invalid/x.git')).toMatchObject({
        error: expect.stringMatching(/^host_not_found: nobody\.invalid /),
      })
      if (level !== 'none') return
      await server.addUser('second')
      expect(await clone('shared', `${git.url}/repository.git`)).toMatchObject({
        status: 'failed',
        error: expect.stringMatching(/^isolation_unavailable: /),
      })
    },
    60_000,
  )

for (const level of ['sealed', 'process'] as const)
  requires(
    'claude',
    'linux',
    'git',
    'openssl',
    ...(level === 'sealed' ? (['bwrap'] as const) : []),
  )(
    `in ${level} a clone speaks git’s own protocol, and trusts a private authority when the operator says so`,
    async () => {
      await using folder = await tempDir()
      const at = (name: string): string => join(folder.path, name)
      for (const name of ['plain', 'secret']) mkdirSync(at(name))
      const certificate = makeCertificate(folder.path, 'private')
      await using plain = await smartGitServer(at('plain'))
      await using secret = await smartGitServer(at('secret'), certificate)
      const args = ['--isolation', level, '--clone-from', '127.0.0.1']
      await using server = await startTestServer({ args, env: { NODE_EXTRA_CA_CERTS: certificate.cert } })
      const client = await server.client()
      const clone = async (on: Client, name: string, url: string, branch?: string) => {
        const repository = { name, gitUrl: `${url}/repository.git`, ...(branch !== undefined && { branch }) }
        return settled(on, (await on.workspaces.create(repository)).id)
      }
      const readme = ({ path }: Workspace): string => readFileSync(join(path, 'README.md'), 'utf8')
      for (const { url, requests } of [plain, secret]) {
        const main = await clone(client, `main-${new URL(url).port}`, url)
        expect(main).toMatchObject({ status: 'ready', error: null })
        expect(readme(main)).toBe('from main\n')
        expect(requests).toContain('/repository.git/git-upload-pack')
        expect(readme(await clone(client, `other-${new URL(url).port}`, url, 'other'))).toBe('from other\n')
      }
      await using strict = await startTestServer({ args })
      const before = secret.requests.length
      expect(await clone(await strict.client(), 'untrusted', secret.url)).toMatchObject({
        status: 'failed',
        error: expect.stringMatching(/^git clone failed: .*certificate/s),
      })
      expect(secret.requests.length).toBe(before)
    },
    60_000,
  )

test('a clone runs as a session does, and ends with its workspace, with the server, and at the next start after a crash', async () => {
  await using server = await startTestServer({ args: ['--clone-from', '127.0.0.1'] })
  await using silent = await openTrap('silent')
  const client = await server.client()
  const begin = async (name: string): Promise<string> => {
    const { id } = await client.workspaces.create({ name, gitUrl: silent.url })
    await until('git waits for an answer', () => gitOf(id).length > 0)
    return id
  }
  const first = await begin('first')
  const { path } = await client.workspaces.get(first)
  const { isolation } = await client.health()
  const [{ pid } = { pid: 0 }] = gitOf(first)
  if (isolation.level === 'sealed')
    expect(readlinkSync(`/proc/${pid}/ns/net`)).not.toBe(readlinkSync('/proc/self/ns/net'))
  if (isolation.uidPerUser) {
    const { uid } = statSync(path)
    expect(uid).not.toBe(process.getuid?.())
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\s+${uid}\\s`, 'm'))
  }
  await client.workspaces.delete(first)
  expect(ofClone(first)).toEqual([])
  expect(existsSync(path)).toBe(false)

  const interrupted = {
    status: 'failed',
    error: 'The server was restarted during the clone. Delete this workspace and create it again.',
  }
  const second = await begin('second')
  expect(await server.terminate()).toBe(0)
  expect(ofClone(second)).toEqual([])
  await server.restart()
  expect(await settled(client, second)).toMatchObject(interrupted)

  const third = await begin('third')
  await server.kill9()
  await server.restart()
  expect(await settled(client, third)).toMatchObject(interrupted)
  expect(ofClone(third)).toEqual([])
}, 60_000)

test('a clone that outgrows what its user may store is ended, and there are not many at once', async () => {
  await using server = await startTestServer({ args: ['--clone-from', '127.0.0.1', '--quota', 'bytes=4m'] })
  await using endless = await openTrap('endless')
  await using silent = await openTrap('silent')
  const client = await server.client()
  const { id } = await client.workspaces.create({ name: 'endless', gitUrl: endless.url })
  expect(await settled(client, id)).toMatchObject({
    status: 'failed',
    error: expect.stringMatching(/^quota_exceeded: /),
  })
  const begin = (name: string) => client.workspaces.create({ name, gitUrl: silent.url })
  const made = await Promise.allSettled(['a', 'b', 'c', 'd', 'e', 'f'].map(begin))
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
  for (const one of made) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'quota_exceeded' })
}, 60_000)
