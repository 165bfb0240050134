import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HelperRefusedError, startHelper, type Helper } from '../../packages/server/src/files/helper-process.ts'
import { writeAccounts } from '../../packages/server/src/isolation/accounts.ts'
import { defaultResourceLimits } from '../../packages/server/src/config/resource-limits.ts'
import type { Attack, Row, Try } from '../lib/row.ts'
import { seenOfFeature, type Answer } from '../lib/http.ts'
import type { Target } from '../lib/target.ts'

const levels = ['process', 'sealed'] as const
/** How often something is tried, at all levels together: over the helper's own protocol, and through the server. */
const tries = {
  helper: { full: 100_000, quick: 10_000, test: 4000 },
  http: { full: 100_000, quick: 1000, test: 300 },
} as const
/** Requests under way at a time: while one waits for the helper another is read. */
const inFlight = 8
const secret = 'outside-7c1d90'
const inside = 'inside-7c1d90'
/** Files in memory: a disk that must take each write and each swap would make for fewer of both. */
const memory = '/dev/shm'
/** Nobody's. */
const uid = 1_950_000_001

/** Swaps for ever: `folder` is a folder, then a link to one outside; `file` is a file, then a link to one outside. */
const swapper = `
const { renameSync } = require('node:fs')
process.stdout.write('swapping')
for (;;) for (const name of ['folder', 'file']) {
  try { renameSync(name, name + '-was'); renameSync(name + '-link', name) } catch {}
  try { renameSync(name, name + '-link'); renameSync(name + '-was', name) } catch {}
}
`

type Place = { workspace: string; outside: string; owner: { uid: number; gid: number } | undefined }

const ownerOf = (path: string): { uid: number; gid: number } => {
  const { uid, gid } = statSync(path)
  return { uid, gid }
}

/** What is swapped, and what it leads to: the owner's own user could read and write all of it. */
const lay = ({ workspace, outside, owner }: Place): void => {
  mkdirSync(outside, { mode: 0o777 })
  chmodSync(outside, 0o777)
  mkdirSync(join(workspace, 'folder'))
  for (const [path, text] of [
    [join(outside, 'text'), secret],
    [join(outside, 'only-outside'), secret],
    [join(workspace, 'folder', 'text'), inside],
    [join(workspace, 'file'), inside],
  ] as const) {
    writeFileSync(path, text)
    chmodSync(path, 0o666)
  }
  symlinkSync(outside, join(workspace, 'folder-link'))
  symlinkSync(join(outside, 'text'), join(workspace, 'file-link'))
  if (owner !== undefined)
    for (const name of ['', 'folder', 'file']) chownSync(join(workspace, name), owner.uid, owner.gid)
}

/** Starts the owner's own process that swaps. */
const swap = async ({ workspace, owner }: Place): Promise<AsyncDisposable> => {
  const child = spawn(process.execPath, ['-e', swapper], {
    ...{ cwd: workspace, env: {}, stdio: ['ignore', 'pipe', 'ignore'] },
    ...owner,
  })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Whether the race is one: who opens files by their paths is led outside. */
const isLed = (workspace: string): boolean => {
  const patience = performance.now() + 20_000
  while (performance.now() < patience)
    for (const path of ['folder/text', 'file'])
      try {
        if (readFileSync(join(workspace, path), 'utf8') === secret) return true
      } catch {
        // Just then it was not there.
      }
  return false
}

/** What each try does, in turn. It gives what it was told. */
const helperTries: readonly ((helper: Helper) => Promise<string>)[] = [
  ...['folder/text', 'file', 'folder/text', 'file'].map((path) => async (helper: Helper) => {
    const { entry } = await helper.ask({ op: 'open', path })
    const { size } = entry as { size: number }
    return Buffer.concat(await Array.fromAsync(helper.read(0, size))).toString()
  }),
  async (helper) => JSON.stringify(await helper.ask({ op: 'list', path: 'folder', limit: 10 })),
  ...['folder/text', 'file'].map((path) => async (helper: Helper) => {
    await helper.ask({ op: 'create', path })
    await helper.send(Buffer.from(inside))
    await helper.ask({ op: 'commit' })
    return ''
  }),
  async (helper) => {
    await helper.ask({ op: 'remove', path: 'folder/only-outside' })
    return 'only-outside was removed'
  },
  async (helper) => {
    await helper.ask({ op: 'makeFolder', path: 'folder/made' })
    await helper.ask({ op: 'remove', path: 'folder/made' })
    return ''
  },
]

type Count = { done: number; links: number; escapes: number }

const countTold = (count: Count, told: string): void => {
  count.done += 1
  if (told.includes(secret) || told.includes('only-outside')) count.escapes += 1
}

const judge = (attempt: Try, what: string, { outside }: Place, { done, links, escapes }: Count): void => {
  const changed = readdirSync(outside).length !== 2 || readFileSync(join(outside, 'text'), 'utf8') !== secret
  attempt(`${what}: escapes`, '0', String(escapes + (changed ? 1 : 0)))
  // Else it has only shown that nothing happens where nothing happens.
  attempt(`${what}: some were done, some met the link`, 'both', done > 0 && links > 0 ? 'both' : `${done}, ${links}`)
}

const raceHelper = async (level: (typeof levels)[number], most: number, attempt: Try): Promise<void> => {
  const base = mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), 'aicm-race-'))
  try {
    chmodSync(base, 0o711)
    const owner = process.getuid?.() === 0 ? { uid, gid: uid } : undefined
    const place: Place = { workspace: join(base, 'workspace'), outside: join(base, 'outside'), owner }
    const accountsDir = join(base, 'accounts')
    await writeAccounts(accountsDir)
    mkdirSync(place.workspace)
    lay(place)
    const helper = startHelper({
      ...{ path: place.workspace, exact: true, accountsDir },
      walls: { level, owner, limits: { memory: null, ...defaultResourceLimits } },
    })
    const count: Count = { done: 0, links: 0, escapes: 0 }
    try {
      await using _ = await swap(place)
      attempt(`${level}: a reader by paths`, 'led outside', isLed(place.workspace) ? 'led outside' : 'stayed inside')
      for (let tried = 0; tried < most; tried++)
        try {
          countTold(count, (await helperTries[tried % helperTries.length]?.(helper)) ?? '')
        } catch (error) {
          if (!(error instanceof HelperRefusedError)) throw error
          if (error.code === 'LINK') count.links += 1
        }
    } finally {
      await helper.end()
    }
    judge(attempt, `${most} tries of the helper, ${level}`, place, count)
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}

const keptAlive = (): Agent & Disposable => {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight })
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() })
}

const raceServer = async (target: Target, level: string, most: number, attempt: Try): Promise<void> => {
  const { alice, ask, dataDir } = target
  const { id, path: workspace } = await alice.client.workspaces.create({ name: 'race' })
  const base = `/v1/workspaces/${id}/files`
  const { token } = alice
  // The folder is the owner's only after the first use.
  attempt(`${level}: a listing`, '200', seenOfFeature(await ask(base, { token })))
  const owner = process.getuid?.() === 0 ? ownerOf(workspace) : undefined
  const place: Place = { workspace, outside: join(dataDir, 'race-outside'), owner }
  lay(place)
  using agent = keptAlive()
  const read = { token, agent, from: '127.0.0.1' }
  const write = { ...read, method: 'PUT', body: inside, headers: { 'content-type': 'application/octet-stream' } }
  const ways: (() => Promise<Answer>)[] = [
    ...['folder/text', 'file'].map((path) => () => ask(`${base}/content?path=${path}`, read)),
    ...['folder/text', 'file'].map((path) => () => ask(`${base}/content?path=${path}`, write)),
    () => ask(`${base}?path=folder`, read),
    () => ask(`${base}?path=folder/only-outside`, { ...read, method: 'DELETE' }),
  ]
  const count: Count = { done: 0, links: 0, escapes: 0 }
  try {
    await using _ = await swap(place)
    let next = 0
    const tryOn = async (): Promise<void> => {
      for (let tried = next++; tried < most; tried = next++) judgeAnswer(tried, await ways[tried % ways.length]?.())
    }
    const judgeAnswer = (tried: number, answer: Answer | undefined): void => {
      if (answer === undefined) return
      if (answer.seen === '409 path_is_link') count.links += 1
      else if (answer.status < 300) countTold(count, answer.status === 204 ? 'only-outside was removed' : answer.text)
      else if (answer.status >= 500) attempt(`try ${tried}`, 'no failure', answer.seen)
    }
    await Promise.all(Array.from({ length: inFlight }, tryOn))
    judge(attempt, `${most} tries of the server, ${level}`, place, count)
  } finally {
    await rm(place.outside, { recursive: true, force: true })
  }
}

const race = async (attack: Attack, attempt: Try): Promise<void> => {
  for (const level of levels) {
    await raceHelper(level, tries.helper[attack.size] / levels.length, attempt)
    await using target = await attack.own({ flags: ['--isolation', level] })
    await raceServer(target, level, tries.http[attack.size] / levels.length, attempt)
  }
}

export const fileRace: Row = {
  name: 'file-race',
  title: 'file API: a folder and a file that the owner’s process swaps for links all the time, without a sandbox too',
  expected: 'nothing read, listed, written, made or removed outside',
  run: race,
}
