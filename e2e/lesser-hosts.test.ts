import { chmodSync, chownSync, mkdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { toolResultText, type Client } from '@aicm/client'
import type { IsolationLevel } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { tempDir } from '@aicm/testing/temp-dir'
import { expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { lesserHosts, ordinaryUser } from './lib/lesser-hosts.ts'
import { logOf } from './lib/turns.ts'

const test = requires('bwrap', 'root')

type Walls = { level: IsolationLevel; uidPerUser: boolean }

/** What a start says of itself, in a line of the banner or of `aicm health`. */
const wallsIn = (text: string): Walls | undefined => {
  const [, level, uids] = /^ *isolation +(\w+)(?: \(wanted sealed\))?, (a uid|one uid) /m.exec(text) ?? []
  return level === undefined ? undefined : { level: level as IsolationLevel, uidPerUser: uids === 'a uid' }
}

const interfacesIn = (proc: string): string[] =>
  proc
    .split('\n')
    .flatMap((line) => /^ *(\S+):/.exec(line)?.[1] ?? [])
    .toSorted()

/** What one session finds, told by a tool of its own; and what shows of it from outside. */
const lookFromInside = async (server: TestServer, client: Client) => {
  const { id } = await client.sessions.create()
  const [key, database] = ['jwt.key', 'aicm.db'].map((name) => join(server.dataDir, name))
  const look = [
    `echo uid=$(id -u) network=$(readlink /proc/self/ns/net)`,
    `test -e ${database} && echo sees-server`,
    `cat ${key} >/dev/null 2>&1 && echo reads-key`,
    `unshare -U true 2>/dev/null && echo makes-namespaces`,
    'cat /proc/net/dev',
  ]
  await client
    .session(id)
    .execute(`@bash(${look.join('; ')})`)
    .complete()
  const result = (await logOf(client, id)).find((message) => message.type === 'tool_result')
  const told = result === undefined ? '' : toolResultText(result.content)
  const [, uid, network] = /uid=(\d+) network=(\S+)/.exec(told) ?? []
  const uidOutside = statSync(`/proc/${server.sessionProcesses(id).claude}`).uid
  return {
    uid: Number(uid),
    uidOutside,
    hasHostsNetwork: network === readlinkSync('/proc/self/ns/net'),
    interfaces: interfacesIn(told),
    seesServer: told.includes('sees-server'),
    readsKey: told.includes('reads-key'),
    makesNamespaces: told.includes('makes-namespaces'),
  }
}

type Host = Walls & { missing: string[]; inside?: string[]; ordinary?: boolean }

const uidMissing = 'a uid for each user'
const hosts: Record<string, Host> = {
  'that has everything': { level: 'sealed', uidPerUser: true, missing: [] },
  'without bwrap': {
    ...{ inside: lesserHosts.withoutBwrap, level: 'process', uidPerUser: true },
    missing: ['sealed', 'sandbox'],
  },
  'without user namespaces': {
    ...{ inside: lesserHosts.noUserNamespaces, level: 'process', uidPerUser: false },
    missing: ['sealed', 'sandbox', uidMissing],
  },
  'without network namespaces': {
    ...{ inside: lesserHosts.noNetworkNamespaces, level: 'sandbox', uidPerUser: false },
    missing: ['sealed', uidMissing],
  },
  'for an ordinary user': {
    ...{ inside: lesserHosts.asOrdinaryUser, ordinary: true, level: 'sealed', uidPerUser: false },
    missing: [uidMissing],
  },
  'without bwrap, for an ordinary user': {
    ...{ inside: lesserHosts.asOrdinaryUserWithoutBwrap, ordinary: true, level: 'process', uidPerUser: false },
    missing: ['sealed', 'sandbox', uidMissing],
  },
}

for (const [name, { level, uidPerUser, missing, inside, ordinary }] of Object.entries(hosts))
  test(`on a host ${name} the level is ${level}: banner, health, aicm and a session itself say so`, async () => {
    await using dir = await tempDir()
    chmodSync(dir.path, 0o711)
    const [dataDir, home] = [join(dir.path, 'data'), join(dir.path, 'home')]
    for (const path of [dataDir, home]) mkdirSync(path)
    if (ordinary === true) chownSync(dataDir, ordinaryUser.uid, ordinaryUser.gid)
    await using server = await startTestServer({ claude: 'fake', dataDir, inside })
    const client = await server.client()
    const walls = { level, uidPerUser }

    const { isolation } = await client.health()
    expect(isolation).toMatchObject({ ...walls, wanted: 'sealed' })
    const ofLimits = (part: string): boolean => part.includes('limit')
    expect(isolation.missing.map(({ part }) => part).filter((part) => !ofLimits(part))).toEqual(missing)
    expect(wallsIn(server.output())).toEqual(walls)
    const aicm = (args: string[], input = '') => startAicm(server, home, args, { input }).ended
    expect(await aicm(['login', '--password-stdin'], `${server.password}\n`)).toMatchObject({ code: 0 })
    const { stdout } = await aicm(['health'])
    expect(wallsIn(stdout)).toEqual(walls)
    for (const { part, error, fix } of isolation.missing) {
      expect(fix).not.toBe('')
      for (const text of [server.output(), stdout]) expect(text).toContain(`missing: ${part}: ${error}`)
    }

    const serverUid = statSync(`/proc/${server.pid()}`).uid
    const [weak, sealed] = [level === 'process', level === 'sealed']
    const found = await lookFromInside(server, client)
    expect(found).toMatchObject({
      ...{ hasHostsNetwork: !sealed, seesServer: weak, readsKey: weak && !uidPerUser },
      interfaces: sealed ? ['lo'] : interfacesIn(readFileSync('/proc/net/dev', 'utf8')),
      ...(sealed ? { makesNamespaces: false } : {}),
    })
    expect(found.uidOutside !== serverUid).toBe(uidPerUser)
    // In a sandbox everybody is the same; elsewhere they are whoever they are.
    expect(found.uid === 1000).toBe(!weak)
  })
