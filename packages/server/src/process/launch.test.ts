import { open, symlink, writeFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { outputLines, readUntil, shellProcess } from '@aicm/testing/shell-process'
import { tempDir } from '@aicm/testing/temp-dir'
import { requires } from '@aicm/testing/requires'
import { mountSmallDisk } from '@aicm/testing/small-disk'
import { systemPath } from '../lib/system-path.ts'
import { adopt } from './adopt.ts'
import { makeFifo } from './fifo.ts'
import { launch } from './launch.ts'

const allLines = async (child: Parameters<typeof outputLines>[0]): Promise<string[]> =>
  (await Array.fromAsync(outputLines(child))).map(({ text }) => text)

test('its output, its error output and its exit code arrive', async () => {
  await using child = await shellProcess('echo one; echo two; echo oh >&2; exit 7')
  expect(await allLines(child.process)).toEqual(['one', 'two'])
  expect(await child.process.exited).toEqual({ code: 7, signal: null })
  expect(await child.process.stderrTail()).toBe('oh\n')
})

test('it gives way to the server where both have much to do', async () => {
  await using child = await shellProcess("read go; cut -d ' ' -f 19 /proc/self/stat")
  await child.process.write('go\n')
  expect(await allLines(child.process)).toEqual([String(getPriority() + 5)])
})

test('the signal that ended it is named', async () => {
  await using child = await shellProcess('kill -KILL $$')
  expect(await child.process.exited).toEqual({ code: 137, signal: 'SIGKILL' })
})

test('the signal is named although there was no room to write it down', async () => {
  await using dir = await tempDir()
  const spec = { cwd: dir.path, env: { PATH: systemPath }, marker: 'AICM_PROCESS=never', exitStatus: 'shell' } as const
  const child = await launch({
    ...spec,
    dir: join(dir.path, '1'),
    argv: ['sh', '-c', 'kill -KILL $$'],
    makeFifo: async (path) => {
      await makeFifo(path)
      await symlink('/dev/full', join(dir.path, '1', 'exit.json'))
    },
  })
  expect(await child.exited).toEqual({ code: 137, signal: 'SIGKILL' })
})

requires('root', 'net-namespace')('that there was no room when it ended is known', async () => {
  await using disk = await mountSmallDisk(9000)
  const spec = { cwd: disk.path, env: { PATH: systemPath }, marker: 'AICM_PROCESS=never', exitStatus: 'shell' } as const
  const ends = async (name: string, argv: [string, ...string[]]) =>
    (await launch({ ...spec, dir: join(disk.path, name), argv })).exited
  expect(await ends('1', ['true'])).toEqual({ code: 0, signal: null })
  expect(await ends('2', ['cp', '/dev/zero', 'zeros'])).toEqual({ code: 1, signal: null, diskFull: true })
})

requires('bwrap')('in a sandbox too its exit code and the signal that ended it are known', async () => {
  await using ended = await shellProcess('echo one; exit 7', { sandbox: true })
  expect(await allLines(ended.process)).toEqual(['one'])
  expect(await ended.process.exited).toEqual({ code: 7, signal: null })
  await using killed = await shellProcess("sh -c 'kill -KILL $$'; exit $?", { sandbox: true })
  expect(await killed.process.exited).toEqual({ code: 137, signal: 'SIGKILL' })
})

requires('bwrap')('a sandbox that cannot be built ends with what bwrap said', async () => {
  await using dir = await tempDir()
  const child = await launch({
    dir: join(dir.path, '1'),
    argv: ['bwrap', '--ro-bind', '/nowhere', '/nowhere', '--json-status-fd', '4', 'true'],
    cwd: dir.path,
    env: { PATH: systemPath },
    marker: 'AICM_PROCESS=never',
    exitStatus: 'command',
  })
  expect(await child.exited).toEqual({ code: 1, signal: null })
  expect(await child.stderrTail()).toContain('/nowhere')
})

test('a program that does not exist ends with 127, and says so', async () => {
  await using dir = await tempDir()
  const spec = { cwd: dir.path, env: { PATH: systemPath }, marker: 'AICM_PROCESS=never', exitStatus: 'shell' } as const
  const child = await launch({ ...spec, dir: join(dir.path, '1'), argv: ['no-such-program'] })
  expect(await child.exited).toEqual({ code: 127, signal: null })
  expect(await child.stderrTail()).toContain('no-such-program')
})

test('a working directory that is gone is named in the refusal, and nothing is left behind', async () => {
  await using dir = await tempDir()
  const spec = {
    dir: join(dir.path, '1'),
    argv: ['true'],
    env: { PATH: systemPath },
    marker: 'A=b',
    exitStatus: 'shell',
  } as const
  await expect(launch({ ...spec, cwd: join(dir.path, 'gone') })).rejects.toThrow(
    `${join(dir.path, 'gone')} does not exist`,
  )
  const child = await launch({ ...spec, cwd: dir.path })
  expect(await child.exited).toEqual({ code: 0, signal: null })
  await expect(launch({ ...spec, cwd: dir.path })).rejects.toThrow('mkfifo failed')
})

test('its input never ends, also when whoever wrote to it lets go', async () => {
  await using child = await shellProcess('while read line; do echo "got $line"; done; echo end of file')
  await child.process.write('a\n')
  await readUntil(child.process, (text) => text === 'got a')
  child.process.release()
  const again = adopt(child.process.record)
  await again.write('b\n')
  expect(await readUntil(again, (text) => text === 'got b')).toEqual(['got a', 'got b'])
  again.release()
})

test('a line of 1 MB waits for a reader that takes its time, and the next one stays behind it', async () => {
  const size = 1024 * 1024
  await using child = await shellProcess(`
    echo waiting; until [ -e go ]; do sleep 0.01; done
    head -c ${size + 1} | cksum; read line; echo "then $line"`)
  await readUntil(child.process, (text) => text === 'waiting')
  const done: string[] = []
  const writes = [`${'x'.repeat(size)}\n`, 'next\n'].map((line) =>
    child.process.write(line).then(() => done.push(line)),
  )
  expect(done).toEqual([])
  await writeFile(join(child.dir, 'workspace/go'), '')
  const said = await readUntil(child.process, (text) => text.startsWith('then'))
  await Promise.all(writes)
  expect(said.at(-1)).toBe('then next')
  expect(said[1]).toMatch(new RegExp(`^\\d+ ${size + 1}$`))
  expect(done.map((line) => line.length)).toEqual([size + 1, 5])
})

test('writing to a process that has ended rejects, and harms nobody', async () => {
  await using child = await shellProcess('read line; echo "got $line"; until [ -e go ]; do sleep 0.01; done; exit 3')
  const faults: unknown[] = []
  const note = (error: unknown): void => void faults.push(error)
  process.on('uncaughtException', note)
  try {
    await child.process.write('a\n')
    await readUntil(child.process, (text) => text === 'got a')
    // More than the pipe holds: it is in the middle of a line when the reader goes.
    const halfWritten = child.process.write(`${'x'.repeat(1024 * 1024)}\n`).then(
      () => 'written',
      (error: unknown) => String(error),
    )
    await writeFile(join(child.dir, 'workspace/go'), '')
    expect(await child.process.exited).toMatchObject({ code: 3 })
    expect(await halfWritten).toMatch(/EPIPE|destroyed|closed|ended/)
    await expect(child.process.write('b\n')).rejects.toThrow()
    expect(faults).toEqual([])
  } finally {
    process.off('uncaughtException', note)
  }
})

for (const sandbox of [false, true]) {
  const define = sandbox ? requires('bwrap') : test
  define(`nothing of the server's environment and open files reaches it${sandbox ? ' in a sandbox' : ''}`, async () => {
    await using dir = await tempDir()
    await using canary = await open(join(dir.path, 'canary'), 'w')
    process.env.AICM_TEST_CANARY = dir.path
    try {
      const script = `tr '\\0' '\\n' </proc/$$/environ; echo --; ls -l /proc/$$/fd; echo end`
      await using child = await shellProcess(script, { sandbox, env: { GIVEN: 'yes' } })
      const said = await readUntil(child.process, (text) => text === 'end')
      const names = said.slice(0, said.indexOf('--')).map((line) => line.split('=')[0])
      // The shell adds where it is.
      expect(new Set(names).difference(new Set(['PWD', 'OLDPWD', 'SHLVL', '_']))).toEqual(
        new Set(['PATH', 'AICM_PROCESS', 'GIVEN']),
      )
      expect(said.join('\n')).not.toContain(dir.path)
      // The exit status is written there by whoever stands around it.
      expect(said.join('\n')).not.toMatch(/exit\.json| 3 -> /)
      expect(canary.fd).toBeGreaterThan(2)
    } finally {
      delete process.env.AICM_TEST_CANARY
    }
  })
}
