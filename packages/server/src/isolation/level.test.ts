import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { run } from '../process/run.ts'
import { probeIsolation, type Isolation } from './level.ts'

requires('bwrap')('where bwrap works the level is sandbox, and the probe leaves nothing behind', async () => {
  await using dir = await tempDir()
  expect(await probeIsolation(join(dir.path, 'data'))).toEqual({ level: 'sandbox', missing: [] })
  expect(await readdir(join(dir.path, 'data'))).toEqual([])
})

/** The probe's answer on a lesser host: `prepare` is a shell script in namespaces of its own. */
const probeOn = async (prepare: string, dir: string): Promise<Isolation> => {
  const module = new URL('level.ts', import.meta.url).href
  const script = `import(${JSON.stringify(module)}).then(async ({ probeIsolation }) => console.log(JSON.stringify(await probeIsolation(process.argv[1]))))`
  const { stdout, stderr, code } = await run(
    [
      'unshare',
      '-U',
      '-r',
      '-m',
      'sh',
      '-c',
      `${prepare} && exec "$@"`,
      dir,
      process.execPath,
      '-e',
      script,
      join(dir, 'data'),
    ],
    { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }, timeoutMs: 30_000 },
  )
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

requires('bwrap')('without bwrap the level is process, and the operator is told what to install', async () => {
  await using dir = await tempDir()
  await mkdir(join(dir.path, 'empty'))
  const { level, missing } = await probeOn('mount --bind "$0/empty" /usr/bin', dir.path)
  expect(level).toBe('process')
  expect(missing).toEqual([expect.stringContaining('apt-get install bubblewrap')])
})

requires('bwrap')('where user namespaces are forbidden the level is process, with what bwrap said', async () => {
  await using dir = await tempDir()
  const { level, missing } = await probeOn('echo 0 >/proc/sys/user/max_user_namespaces', dir.path)
  expect(level).toBe('process')
  expect(missing).toEqual([expect.stringMatching(/bwrap.*namespace/i)])
})
