import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Session } from '@aicm/protocol'
import { kill } from '@aicm/testing/processes'
import { requires } from '@aicm/testing/requires'
import { runServer } from '@aicm/testing/run-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { until } from '@aicm/testing/until'
import { expect } from 'vitest'
import { installFakeClaude } from '../bench/lib/fake-claude.ts'
import { createScope } from '../bench/lib/scope.ts'
import { endLeftovers } from '../bench/lib/server.ts'

// A link that is cut in the middle: neither end is told. Network namespaces of the test's own, with a bridge between them.

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const network = { server: '10.99.0.1', client: '10.99.0.2', port: '2426' }
const password = 'correct horse battery staple'

const output = (command: string[]): string => {
  const [program = '', ...args] = command
  const { status, stdout, stderr } = spawnSync(program, args, {
    env: { PATH: path },
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
  return stdout
}

/** A process that keeps a network namespace, which goes with it. */
const openNamespace = async (): Promise<AsyncDisposable & { pid: number; inside: string[] }> => {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo here; exec sleep infinity'], {
    env: { PATH: path },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exited = once(child, 'exit')
  await once(child.stdout, 'data')
  const pid = child.pid ?? 0
  return {
    pid,
    inside: ['nsenter', '--target', `${pid}`, '--net'],
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

type Namespace = Awaited<ReturnType<typeof openNamespace>>

const ip = ({ inside }: Namespace, ...commands: string[]): void => {
  for (const command of commands) output([...inside, 'ip', ...command.split(' ')])
}

/** Two ends, and what cuts them off from each other. */
const openLink = (server: Namespace, middle: Namespace, client: Namespace): { cut(): void } => {
  ip(middle, 'link add bridge type bridge', 'link set bridge up')
  for (const [end, address, name] of [
    [server, network.server, 'server'],
    [client, network.client, 'client'],
  ] as const) {
    ip(middle, `link add ${name} type veth peer name wire netns ${end.pid}`, `link set ${name} master bridge up`)
    ip(end, 'link set lo up', `address add ${address}/24 dev wire`, 'link set wire up')
  }
  return { cut: () => ip(middle, 'link set client nomaster') }
}

requires(
  'root',
  'net-namespace',
  'curl',
)('readers behind a link that was cut are let go of within 30 seconds, by events and by WebSocket', async () => {
  const scope = createScope()
  await using stack = new AsyncDisposableStack()
  stack.defer(() => scope.finish())
  const claude = await installFakeClaude(scope)
  const server = stack.use(await openNamespace())
  const middle = stack.use(await openNamespace())
  const client = stack.use(await openNamespace())
  const link = openLink(server, middle, client)
  const folder = stack.use(await tempDir())
  stack.defer(() => endLeftovers(folder.path))
  const { pid, exited, listening } = runServer({
    args: [
      ...['--host', network.server, '--insecure-http', '--port', network.port, '--data-dir', folder.path],
      ...['--model-api', 'demo', '--warm-min', '0', '--claude', claude.path, ...claude.flags],
    ],
    env: { PATH: path, HOME: folder.path, AICM_ADMIN_PASSWORD: password },
    cwd: folder.path,
    inside: server.inside,
  })
  stack.defer(async () => {
    kill(pid, 'SIGTERM')
    await exited
  })
  await listening

  const url = `http://${network.server}:${network.port}`
  const ask = <T>(path: string, body: object, token = ''): T => {
    const headers = ['-H', 'content-type: application/json', '-H', `authorization: Bearer ${token}`]
    return JSON.parse(
      output([...client.inside, 'curl', '-sS', '--fail', ...headers, '-d', JSON.stringify(body), url + path]),
    ) as T
  }
  const { accessToken } = ask<{ accessToken: string }>('/v1/auth/login', { username: 'admin', password })
  const { id } = ask<Session>('/v1/sessions', {}, accessToken)
  const [program = '', ...args] = [
    ...client.inside,
    process.execPath,
    fileURLToPath(new URL('programs/two-readers.mjs', import.meta.url)),
    ...[url, id, accessToken],
  ]
  const readers = spawn(program, args, { env: { PATH: path }, stdio: ['ignore', 'pipe', 'inherit'] })
  stack.defer(() => void readers.kill('SIGKILL'))
  await once(readers.stdout, 'data')
  const open = (): number =>
    output([...server.inside, 'ss', '-Htn', 'state', 'established', `( sport = :${network.port} )`])
      .split('\n')
      .filter(Boolean).length
  expect(open()).toBe(2)
  link.cut()
  await until('the server has let go of both', () => open() === 0)
  expect(readers.exitCode).toBeNull()
})
