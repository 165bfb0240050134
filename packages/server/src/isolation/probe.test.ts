import { chmod, mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { IsolationLevel } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { run } from '../process/run.ts'
import { brokenPromise, type Proven } from './probe.ts'

const owner = { uid: 1_900_000_101, gid: 1_900_000_101 }

type Host = {
  /** A shell script in namespaces of its own. */
  prepare?: string
  wanted?: IsolationLevel
  withOwner?: boolean
  program?: string
}

/** What is found out on a host like this. It is asked in a process of its own: what it proves holds for that. */
const probeOn = async ({ prepare, wanted = 'sealed', withOwner = false, program = '/bin/sh' }: Host, dir: string) => {
  const probeModule = new URL('probe.ts', import.meta.url).href
  const inheritableModule = new URL('../lib/inheritable.ts', import.meta.url).href
  const options = { dataDir: join(dir, 'data'), wanted, program, ...(withOwner ? { owner } : {}) }
  const script = `
    const { closeInherited } = await import(${JSON.stringify(inheritableModule)})
    const { probe } = await import(${JSON.stringify(probeModule)})
    closeInherited()
    console.log(JSON.stringify(await probe(${JSON.stringify(options)})))`
  const shell: [string, ...string[]] = prepare === undefined ? ['sh'] : ['unshare', '-U', '-r', '-m', '-n', 'sh']
  await chmod(dir, 0o711)
  await mkdir(join(dir, 'data'), { mode: 0o711 })
  const { stdout, stderr, code } = await run(
    [...shell, '-c', `${prepare ?? 'true'} && exec "$@"`, dir, process.execPath, '--input-type=module', '-e', script],
    { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeoutMs: 30_000 },
  )
  if (code !== 0) throw new Error(stderr)
  expect(await readdir(join(dir, 'data'))).toEqual([])
  return JSON.parse(stdout) as Proven
}

const emptyPath = 'mkdir "$0/empty" && mount --bind "$0/empty" /usr/bin'

requires('bwrap')('where everything works the level is sealed, and the probe leaves nothing behind', async () => {
  await using dir = await tempDir()
  expect(await probeOn({}, dir.path)).toMatchObject({ level: 'sealed', asOwner: false, errors: { level: [] } })
})

requires('bwrap', 'root')('a server that is root gives up its uid first', async () => {
  await using dir = await tempDir()
  expect(await probeOn({ withOwner: true }, dir.path)).toMatchObject({ level: 'sealed', asOwner: true })
})

requires('bwrap', 'root')('without a sandbox a uid of its own is still proven', async () => {
  await using dir = await tempDir()
  expect(await probeOn({ withOwner: true, wanted: 'process' }, dir.path)).toMatchObject({
    level: 'process',
    asOwner: true,
  })
})

requires('bwrap', 'root')('a uid that cannot reach its folder is not reported, and why is told', async () => {
  await using dir = await tempDir()
  const way = join(dir.path, 'closed')
  await mkdir(join(way, 'in'), { recursive: true, mode: 0o700 })
  const { level, asOwner, errors } = await probeOn({ withOwner: true }, join(way, 'in'))
  expect({ level, asOwner }).toEqual({ level: 'sealed', asOwner: false })
  expect(errors.owner).toMatch(/permission denied/i)
  expect((await stat(way)).mode & 0o777).toBe(0o700)
})

requires('bwrap', 'root')('a program that the uid may not run is no walls for it', async () => {
  await using dir = await tempDir()
  await mkdir(join(dir.path, 'private'), { mode: 0o700 })
  await run(['cp', '/bin/sh', join(dir.path, 'private/program')], { env: { PATH: '/usr/bin:/bin' }, timeoutMs: 5000 })
  const { asOwner, errors } = await probeOn({ withOwner: true, program: join(dir.path, 'private/program') }, dir.path)
  expect(asOwner).toBe(false)
  expect(errors.owner).toMatch(/permission denied/i)
})

requires('bwrap')('without bwrap the level is process, and that it is missing is told for both others', async () => {
  await using dir = await tempDir()
  const { level, errors } = await probeOn(
    { prepare: 'mkdir "$0/bin" && cp -P /usr/bin/* "$0/bin" && rm "$0/bin/bwrap" && mount --bind "$0/bin" /usr/bin' },
    dir.path,
  )
  expect(level).toBe('process')
  expect(errors.level).toMatchObject([{ level: 'sealed' }, { level: 'sandbox' }])
  for (const { error } of errors.level) expect(error).toMatch(/bwrap: No such file/)
})

requires('bwrap')('where user namespaces are forbidden the level is process, with what bwrap said', async () => {
  await using dir = await tempDir()
  const { level, errors } = await probeOn({ prepare: 'echo 0 >/proc/sys/user/max_user_namespaces' }, dir.path)
  expect(level).toBe('process')
  expect(errors.level[0]?.error).toMatch(/bwrap.*namespace/i)
})

requires('bwrap')('where network namespaces are forbidden the level is sandbox, with what bwrap said', async () => {
  await using dir = await tempDir()
  const { level, errors } = await probeOn({ prepare: 'echo 0 >/proc/sys/user/max_net_namespaces' }, dir.path)
  expect(level).toBe('sandbox')
  expect(errors.level).toEqual([{ level: 'sealed', error: expect.stringMatching(/bwrap.*namespace/i) }])
})

requires('linux')('without limits there is nothing', async () => {
  await using dir = await tempDir()
  const { level, errors } = await probeOn({ prepare: emptyPath }, dir.path)
  expect(level).toBe('none')
  expect(errors.level.map(({ error }) => error)).toEqual(Array(3).fill('prlimit is not installed'))
})

requires('bwrap')('nothing stronger than what is wanted is used', async () => {
  await using dir = await tempDir()
  expect(await probeOn({ wanted: 'sandbox' }, dir.path)).toMatchObject({ level: 'sandbox', errors: { level: [] } })
})

test('each promise that is broken takes the level away', () => {
  const kept = {
    ...{ secret: '1', neighbour: '1', program: '0', signal: '1', write: '0', namespace: '1' },
    ...{ network: 'net:[2]', processes: '3', files: '61' },
  }
  const server = { asOwner: true, network: 'net:[1]' }
  expect(brokenPromise('sealed', kept, server)).toBeUndefined()
  const seen = {
    secret: '0',
    neighbour: '0',
    program: '1',
    signal: '0',
    write: '1',
    namespace: '0',
    network: 'net:[1]',
  }
  const broken = { ...seen, processes: '80', files: '1024', descriptor: '/proc/self/fd/9' }
  const breaks = (level: IsolationLevel, asOwner: boolean): string[] =>
    Object.entries(broken).flatMap(([name, value]) =>
      brokenPromise(level, { ...kept, [name]: value }, { ...server, asOwner }) === undefined ? [] : [name],
    )
  expect(breaks('process', false)).toEqual(['program', 'write', 'files'])
  expect(breaks('process', true)).toEqual(['neighbour', 'program', 'signal', 'write', 'files'])
  expect(breaks('sandbox', false)).toEqual(['secret', 'program', 'signal', 'write', 'processes', 'files'])
  expect(breaks('sealed', true)).toEqual(Object.keys(broken))
})
