import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemPath } from '../lib/system-path.ts'
import { run } from '../process/run.ts'
import { sandboxArgv } from './sandbox-argv.ts'

/** What is proven to work here. `missing` says what a stronger level would need, in words for the operator. */
export type Isolation = { level: 'process' | 'sandbox'; missing: string[] }

const inside = `test ! -e "$1" && test -w . && [ "$(ls -d /proc/[0-9]* | wc -l)" -lt 10 ] && echo walled`

/**
 * Finds the level by doing: a sandbox that does not hide a canary file of the server's is none. `dir` is the server's own
 * folder, which no session may see.
 */
export const probeIsolation = async (dir: string): Promise<Isolation> => {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const base = await mkdtemp(join(dir, 'probe-'))
  try {
    const canary = join(base, 'canary')
    await writeFile(canary, 'not for sessions')
    const view = {
      workspace: join(base, 'workspace'),
      home: join(base, 'home'),
      tmp: join(base, 'tmp'),
      brokerDir: join(base, 'broker'),
      program: '/bin/sh',
    }
    await Promise.all([view.workspace, view.home, view.tmp, view.brokerDir].map((path) => mkdir(path)))
    const argv = sandboxArgv(view).filter(
      (argument, at, all) => argument !== '--json-status-fd' && all[at - 1] !== '--json-status-fd',
    )
    const [program, ...rest] = argv
    const result = await run([program ?? 'bwrap', ...rest, 'sh', '-c', inside, 'sh', canary], {
      env: { PATH: systemPath },
      timeoutMs: 10_000,
    })
    if (result.code === 0 && result.stdout.includes('walled')) return { level: 'sandbox', missing: [] }
    return {
      level: 'process',
      missing: [`bwrap does not work here: ${result.stderr.trim().slice(0, 300) || `exit ${result.code}`}`],
    }
  } catch (error) {
    const text =
      error instanceof Error && 'code' in error && error.code === 'ENOENT'
        ? 'bwrap is not installed (Debian: apt-get install bubblewrap)'
        : String(error)
    return { level: 'process', missing: [text] }
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}
