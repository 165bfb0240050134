import { chmodSync, copyFileSync, linkSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { brokerControl } from '@aicm/broker'
import { createClient, login, type Client, type ClientOptions } from '@aicm/client'
import type { Role } from '@aicm/protocol'
import { fakeClaudePath } from './fake-claude/install.ts'
import { findProcesses, isRunning, kill, type ProcessInfo } from './processes.ts'
import { removeGroups } from './groups.ts'
import { addUser } from './add-user.ts'
import { claudePath } from './requires.ts'
import { freePort, runServer, type ServerProcess } from './run-server.ts'
import { until } from './until.ts'

export type TestServerOptions = {
  /** `real` is the CLI that npm installed, with the built-in scripted API; `fake` the stand-in, for volume. */
  claude?: 'real' | 'fake'
  /** Where its own folder is made: on a disk of a size of its own, for example. */
  within?: string
  /** More flags. */
  args?: string[]
  /** More of an environment that otherwise holds PATH, HOME and the admin's password only. */
  env?: Record<string, string>
  /** Where the data is, when it shall be on another disk; it must be on no other server's. */
  dataDir?: string
  /** See runServer. */
  inside?: string[]
}

/** A real server in a process of its own, with a folder of its own. Its address stays the same through restarts. */
export type TestServer = AsyncDisposable & {
  readonly url: string
  readonly dataDir: string
  /** Of the user `admin`. */
  readonly password: string
  /** The claude program that it runs. */
  readonly program: string
  pid(): number
  /** What it has printed since its last start. */
  output(): string
  /** An access token of `admin`. */
  token(): Promise<string>
  /** Adds a user with the admin's password, a member when it is not said. Resolves with an access token. */
  addUser(username: string, role?: Role): Promise<string>
  /** A client that is logged in as `admin` and reconnects quickly. It is closed with the server. */
  client(options?: Partial<ClientOptions>): Promise<Client>
  /** Ends the server as a crash would. Its sessions' processes go on. */
  kill9(): Promise<void>
  /** Asks it to end, and resolves with its exit code. Its sessions' processes go on. */
  terminate(): Promise<number | null>
  /** Starts it again, ending it as a crash would first if it still runs. With other flags from then on where they are said. */
  restart(args?: string[]): Promise<void>
  /** A second server on the same folder and another port, until it ends. */
  rival(): Promise<{ code: number | null; output: string }>
  /** All processes that it has started and that live, itself and its broker left out. */
  children(): ProcessInfo[]
  /** Processes of one session: the outermost (bwrap, or a shell), and claude itself. */
  sessionProcesses(sessionId: string): { outer: number | undefined; claude: number | undefined; all: ProcessInfo[] }
  brokerPid(): number | undefined
  /** Ends all that was started, and removes the folder. */
  stop(): Promise<void>
}

const password = 'correct horse battery staple'
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** Tests ask more at once than people do; those of the limits set their own. */
const noLimits = { AICM_RATE_LIMITS: 'off', AICM_QUOTAS: 'off' }
/** A client under test waits less than people may. */
const timing = { backoffBaseMs: 20, backoffMaxMs: 200, idleMs: 50 }

/** The stand-in's program, with what it runs on beside it: sessions may read that folder. */
const installFake = (dir: string): string => {
  mkdirSync(dir)
  const program = join(dir, 'claude')
  // Its version is asked for outside of any home.
  const script = [
    '#!/bin/sh',
    'test "$1" = --version && echo "2.1.330 (Claude Code)" && exit',
    `exec '${join(dir, 'node')}' '${join(dir, 'fake-claude.mjs')}' "$@"`,
  ]
  writeFileSync(program, `${script.join('\n')}\n`, { mode: 0o755 })
  try {
    linkSync(process.execPath, join(dir, 'node'))
  } catch {
    // On another disk.
    copyFileSync(process.execPath, join(dir, 'node'))
  }
  copyFileSync(fakeClaudePath, join(dir, 'fake-claude.mjs'))
  return program
}

const realClaude = (): string => {
  const path = claudePath()
  if (path === undefined) throw new Error('The real claude is not installed: define the test with requires("claude").')
  return path
}

/** Starts a server and waits until it listens. Stop it, or dispose of it: else its processes outlive the test. */
export const startTestServer = async (options: TestServerOptions = {}): Promise<TestServer> => {
  const base = mkdtempSync(join(options.within ?? tmpdir(), 'aicm-e2e-'))
  // As root, sessions run as other users: they may pass through.
  chmodSync(base, 0o711)
  const dataDir = options.dataDir ?? join(base, 'data')
  const home = join(base, 'home')
  mkdirSync(home)
  const program = options.claude === 'fake' ? installFake(join(base, 'fake')) : realClaude()
  const clients = new Set<Client>()
  const port = await freePort()
  let running: ServerProcess | undefined
  let token: Promise<string> | undefined
  let args = options.args ?? []

  const run = (onPort: number): ServerProcess =>
    runServer({
      args: [
        '--port',
        `${onPort}`,
        '--data-dir',
        dataDir,
        '--claude',
        program,
        '--warm-min',
        '0',
        ...(options.claude === 'fake' ? ['--read-only-mount', dirname(program)] : []),
        ...args,
      ],
      // No test reaches the real API, whatever credential it stores.
      env: {
        ...{ PATH: systemPath, HOME: home, AICM_ADMIN_PASSWORD: password, ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' },
        ...noLimits,
        ...options.env,
      },
      cwd: home,
      ...(options.inside === undefined ? {} : { inside: options.inside }),
    })

  const mine = ({ argv, environment }: ProcessInfo): boolean =>
    [...argv, ...environment].some((text) => text.includes(base) || text.includes(dataDir))
  const all = (): ProcessInfo[] => findProcesses(mine)
  const isBroker = ({ argv }: ProcessInfo): boolean => argv.includes('--dir') && argv.includes(join(dataDir, 'broker'))
  const isServer = ({ argv }: ProcessInfo): boolean => argv.includes('--data-dir')

  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    const ending = running
    running = undefined
    if (ending === undefined) return null
    kill(ending.pid, signal)
    return (await ending.exited).code
  }

  const start = async (): Promise<void> => {
    running = run(port)
    await running.listening
  }

  /** For the end of the test process, however it comes: nothing may be waited for then. */
  const endAllAtOnce = (): void => {
    for (const { pid } of all()) kill(pid, 'SIGKILL')
    const deadline = performance.now() + 1000
    while (!removeGroups(dataDir) && performance.now() < deadline);
  }

  const stop = async (): Promise<void> => {
    for (const client of clients) client.close()
    await end('SIGTERM')
    for (const info of all()) if (!isBroker(info)) kill(info.pid, 'SIGKILL')
    await until(`nothing of ${base} runs any more`, async () => {
      // Again and again: one that is being started just now takes no orders yet.
      await brokerControl(join(dataDir, 'broker'))
        .stop()
        .catch(() => undefined)
      for (const info of all()) if (!isBroker(info)) kill(info.pid, 'SIGKILL')
      return all().length === 0
    }).catch(endAllAtOnce)
    await until('its groups are gone', () => removeGroups(dataDir))
    process.off('exit', endAllAtOnce)
    await rm(base, { recursive: true, force: true, maxRetries: 5 })
  }

  process.on('exit', endAllAtOnce)
  const server: TestServer = {
    url: `http://127.0.0.1:${port}`,
    dataDir,
    password,
    program,
    pid: () => {
      if (running === undefined) throw new Error('the server does not run')
      return running.pid
    },
    output: () => running?.output() ?? '',
    token: () =>
      (token ??= login({ url: server.url, username: 'admin', password }).then(({ accessToken }) => accessToken)),
    addUser: async (username, role) => {
      await addUser(
        { url: server.url, token: await server.token() },
        { username, password, ...(role === undefined ? {} : { role }) },
      )
      return (await login({ url: server.url, username, password })).accessToken
    },
    client: async (more) => {
      const client = createClient({ url: server.url, token: await server.token(), timing, ...more })
      clients.add(client)
      return client
    },
    kill9: async () => void (await end('SIGKILL')),
    terminate: () => end('SIGTERM'),
    restart: async (other = args) => {
      await end('SIGKILL')
      args = other
      await start()
    },
    rival: async () => {
      const { exited, output, listening } = run(await freePort())
      listening.catch(() => undefined)
      return { code: (await exited).code, output: output() }
    },
    children: () => all().filter((info) => !isServer(info) && !isBroker(info)),
    sessionProcesses: (sessionId) => {
      const found = findProcesses(({ environment }) =>
        environment.some((variable) => variable.startsWith(`AICM_PROCESS=${sessionId}/`)),
      )
      const pids = new Set(found.map(({ pid }) => pid))
      const claude = found.find(({ argv }) => argv[0] === program || argv[1]?.endsWith('/fake/fake-claude.mjs'))
      return { outer: found.find(({ parent }) => !pids.has(parent))?.pid, claude: claude?.pid, all: found }
    },
    brokerPid: () => all().find(isBroker)?.pid,
    stop,
    [Symbol.asyncDispose]: stop,
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return server
}

/** Resolves when none of these processes runs any more. */
export const allGone = async (pids: number[]): Promise<void> =>
  void (await until(`the processes ${pids.join(', ')} are gone`, () => !pids.some(isRunning)))
