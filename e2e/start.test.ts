import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brokerControl } from '@aicm/broker'
import { createClient, login } from '@aicm/client'
import { removeGroups } from '@aicm/testing/groups'
import { findProcesses, kill } from '@aicm/testing/processes'
import { claudePath, requires } from '@aicm/testing/requires'
import { freePort } from '@aicm/testing/run-server'
import { until } from '@aicm/testing/until'
import BetterSqlite from 'better-sqlite3'
import { afterAll, beforeAll, expect } from 'vitest'
import { optionTable, type OptionSpec } from '../packages/server/src/config/options.ts'
import { builtServer, ensurePrograms } from '../scripts/lib/artifacts.js'

/** `npm start` in a copy of this repository. What npm would install are links to what is installed here. */

const test = requires('claude', 'linux')
const root = fileURLToPath(new URL('..', import.meta.url))
let dir: string
let copy: string
let dataDir: string
let url: string
let env: NodeJS.ProcessEnv

/** Our packages, and the copy's own workspaces. */
const linkPackages = (to: string): void => {
  const from = join(root, 'node_modules')
  mkdirSync(join(to, '@aicm'), { recursive: true })
  for (const name of readdirSync(from))
    if (!['@aicm', '.aicm-lock', '.cache'].includes(name)) symlinkSync(join(from, name), join(to, name))
  for (const name of readdirSync(join(from, '@aicm')))
    symlinkSync(readlinkSync(join(from, '@aicm', name)), join(to, '@aicm', name))
}

/** An npm that installs without a network, and notes how it was asked to. Whatever else npm is asked is done by npm. */
const standInForNpm = (packages: string): string => {
  const bin = join(dir, 'bin')
  const npm = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'npm'))
    .find((path) => existsSync(path))
  mkdirSync(bin)
  const script = [
    '#!/bin/sh',
    `[ "$1" = ci ] || exec '${npm}' "$@"`,
    `echo "$@" >> '${join(dir, 'installs')}'`,
    `mv '${packages}' node_modules`,
  ]
  writeFileSync(join(bin, 'npm'), script.join('\n'), { mode: 0o755 })
  return bin
}

beforeAll(async () => {
  ensurePrograms()
  dir = mkdtempSync(join(tmpdir(), 'aicm-start-'))
  // As root, sessions run as other users: they may pass through.
  chmodSync(dir, 0o711)
  copy = join(dir, 'aicm')
  dataDir = join(dir, 'data')
  for (const name of ['package.json', 'package-lock.json', 'scripts', 'packages', 'dist'])
    cpSync(join(root, name), join(copy, name), { recursive: true, filter: (path) => basename(path) !== 'node_modules' })
  // The last thing that a build puts there.
  for (const name of ['web', '.web-sources']) rmSync(join(copy, 'dist', name), { recursive: true })
  linkPackages(join(dir, 'packages'))
  const port = await freePort()
  url = `http://127.0.0.1:${port}`
  env = {
    PATH: [standInForNpm(join(dir, 'packages')), process.env.PATH].join(delimiter),
    ...{ HOME: dir, LANG: 'C.UTF-8', npm_config_offline: 'true', npm_config_update_notifier: 'false' },
    ...{ AICM_PORT: `${port}`, AICM_DATA_DIR: dataDir, AICM_CLAUDE_PATH: claudePath() },
    ...{ AICM_WARM_MIN: '0', AICM_STOP_SESSIONS: '1', ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' },
  }
}, 120_000)

const serverOf = () =>
  findProcesses(({ argv }) => argv.includes(join(copy, builtServer.at(-1)?.slice(root.length) ?? '')))

afterAll(async () => {
  for (const { pid } of serverOf()) kill(pid, 'SIGKILL')
  const leftOf = () =>
    findProcesses(({ environment }) => environment.some((text) => text.startsWith(`HOME=${dataDir}`)))
  for (const { pid } of leftOf()) kill(pid, 'SIGKILL')
  await brokerControl(join(dataDir, 'broker'))
    .stop()
    .catch(() => undefined)
  await until('its groups are gone', () => removeGroups(dataDir))
  rmSync(dir, { recursive: true, force: true })
})

/** A command line, as it is typed in the copy. */
const type = (command: string, input = '') => {
  const child = spawn('sh', ['-c', command], { cwd: copy, env, stdio: 'pipe' })
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }))
  return { pid: child.pid ?? -1, output: () => output, ended }
}

/** `npm start`, until all that it says to begin with is there. */
const start = async () => {
  const { pid, output, ended } = type('exec npm start')
  let over = false
  void ended.then(() => (over = true))
  await until(
    'it takes requests',
    () =>
      over ||
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
  )
  await until('it has said all', () => over || output().includes('API reference'))
  expect(over, output()).toBe(false)
  const stop = async (): Promise<void> => {
    // npm's own process, which a service manager knows.
    kill(pid, 'SIGTERM')
    expect((await ended).code).toBe(0)
    expect(serverOf()).toEqual([])
  }
  return { banner: output(), stop }
}

const passwordIn = (banner: string): string | undefined => /log in as admin with the password +(\S+)/.exec(banner)?.[1]

const commandsIn = (banner: string): string[] => /^Try: +(npx .+?) +and then +(npx .+)$/m.exec(banner)?.slice(1) ?? []

let password: string

test('the first npm start installs and builds what is missing, and prints a password and commands that work', async () => {
  const { banner, stop } = await start()
  expect(readFileSync(join(dir, 'installs'), 'utf8')).toMatch(/^ci --ignore-scripts .*\n$/)
  expect(banner).toContain(`listens on ${url}`)
  expect(banner).toContain('DEMO: the real Claude CLI answers from a built-in scripted API, not from the model.')
  expect(banner).toContain(dataDir)
  password = passwordIn(banner) ?? ''
  expect(password).not.toBe('')
  const [logIn = '', run = ''] = commandsIn(banner)
  expect(await type(`${logIn} --password-stdin`, `${password}\n`).ended).toMatchObject({ code: 0 })
  const { code, output } = await type(run).ended
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringMatching(/\w{3}/) })
  expect(await (await fetch(url, { headers: { accept: 'text/html' } })).text()).toContain('<title>')
  expect(readFileSync(join(dataDir, 'server.log'), 'utf8')).not.toContain(password)
  await stop()
})

test('the second installs and builds nothing, shows no password, and knows what was before', async () => {
  const { banner, stop } = await start()
  expect(banner).not.toMatch(/Building|Installing/)
  expect(banner).not.toContain(password)
  expect(passwordIn(banner)).toBeUndefined()
  const { accessToken } = await login({ url, username: 'admin', password })
  const client = createClient({ url, token: accessToken })
  expect((await client.sessions.list()).sessions).toMatchObject([{ turns: 1 }])
  client.close()
  await stop()
  expect(readFileSync(join(dir, 'installs'), 'utf8').split('\n')).toHaveLength(2)
})

test('a database of a newer version is refused in words, and stays as it is', async () => {
  const path = join(dataDir, 'aicm.db')
  const database = new BetterSqlite(path)
  database.exec("INSERT INTO kysely_migration VALUES ('9999-from-the-future', '2030-01-01T00:00:00.000Z')")
  database.pragma('wal_checkpoint(TRUNCATE)')
  database.close()
  const before = readFileSync(path)
  const { code, output } = await type('npm start').ended
  expect(code).toBe(1)
  expect(output).toContain('This database was written by a newer version of aicm (migration 9999-from-the-future).')
  expect(output).toContain('Nothing was changed.')
  expect(output).not.toMatch(/\n\s+at /)
  expect(readFileSync(path).equals(before)).toBe(true)
})

test('--help has every flag and variable of the options, and an option that there is not is refused', async () => {
  const { code, output } = await type('npm start -- --help').ended
  expect(code).toBe(0)
  for (const { flag, env: variable, doc } of Object.values<OptionSpec>(optionTable)) {
    const line = output.split('\n').find((text) => text.endsWith(variable) && !text.startsWith('   '))
    expect(line, variable).toMatch(flag === undefined ? /^ {2}\w+$/ : new RegExp(`^  ${flag}[ ,]`))
    expect(output).toContain(doc)
  }
  expect(await type('npm start -- --colour').ended).toMatchObject({
    code: 2,
    output: expect.stringContaining('Unknown option --colour. See --help.'),
  })
})
