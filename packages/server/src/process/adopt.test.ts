import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { outputLines, readUntil, shellProcess } from '@aicm/testing/shell-process'
import { tempDir } from '@aicm/testing/temp-dir'
import { requires } from '@aicm/testing/requires'
import { adopt } from './adopt.ts'
import { isAlive } from './identity.ts'
import type { ProcessRecord } from './session-process.ts'
import { killTree } from './tree.ts'

const count = 20_000
const counting = `i=0; while [ $i -lt ${count} ]; do echo "line $i"; i=$((i+1)); done; exit 5`
const numbered = Array.from({ length: count }, (_, index) => `line ${index}`)
/** As it is stored and read back. */
const stored = (record: ProcessRecord): ProcessRecord => JSON.parse(JSON.stringify(record))

for (const sandbox of [false, true]) {
  const define = sandbox ? requires('bwrap') : test
  define(
    `handed over again and again while it talks, nothing is lost or read twice${sandbox ? ' (sandbox)' : ''}`,
    async () => {
      await using child = await shellProcess(counting, { sandbox })
      const texts: string[] = []
      let handle = child.process
      let from = 0
      while (texts.length < count) {
        let taken = 0
        for await (const { text, end } of outputLines(handle, from)) {
          texts.push(text)
          from = end
          if (++taken === 3001) break
        }
        handle.release()
        handle = adopt(stored(child.process.record))
      }
      expect(texts).toEqual(numbered)
      expect(await handle.exited).toEqual({ code: 5, signal: null })
    },
  )
}

test('an adopted process is written to, stopped, and its end is seen', async () => {
  await using child = await shellProcess(`trap 'echo bye; exit 9' TERM; while read line; do echo "got $line"; done`)
  await child.process.write('a\n')
  await readUntil(child.process, (text) => text === 'got a')
  child.process.release()
  const adopted = adopt(stored(child.process.record))
  await adopted.write('b\n')
  await readUntil(adopted, (text) => text === 'got b')
  expect(await adopted.stop(60_000)).toEqual({ code: 9, signal: null })
  const said = (await Array.fromAsync(outputLines(adopted))).map(({ text }) => text)
  expect(said).toEqual(['got a', 'got b', 'bye'])
})

test('one that ended while nobody watched gives all it had said, and how it ended', async () => {
  await using child = await shellProcess('echo last words; exit 4')
  await child.process.exited
  child.process.release()
  const adopted = adopt(stored(child.process.record))
  expect((await Array.fromAsync(outputLines(adopted))).map(({ text }) => text)).toEqual(['last words'])
  expect(await adopted.exited).toEqual({ code: 4, signal: null })
  await expect(adopted.write('too late\n')).rejects.toThrow()
})

test('it outlives a server that is killed, and another one takes it over', async () => {
  await using dir = await tempDir()
  const server = join(dir.path, 'server.ts')
  const launchModule = new URL('launch.ts', import.meta.url).href
  await writeFile(
    server,
    `import { launch } from ${JSON.stringify(launchModule)}
    const child = await launch({
      dir: ${JSON.stringify(join(dir.path, '1'))},
      argv: ['sh', '-c', 'while read line; do echo "got $line"; done'],
      cwd: ${JSON.stringify(dir.path)},
      env: { PATH: '/usr/bin:/bin', AICM_PROCESS: 'outlives' },
      marker: 'AICM_PROCESS=outlives',
      exitStatus: 'shell',
    })
    await child.write('first\\n')
    console.log(JSON.stringify(child.record))
    setInterval(() => {}, 1000)`,
  )
  const first = spawn(process.execPath, [server], { stdio: ['ignore', 'pipe', 'inherit'] })
  let line = ''
  for await (line of first.stdout.setEncoding('utf8')) break
  const record: ProcessRecord = JSON.parse(line)
  try {
    first.kill('SIGKILL')
    await once(first, 'exit')
    expect(isAlive(record.identity)).toBe(true)
    const adopted = adopt(record)
    await adopted.write('second\n')
    expect(await readUntil(adopted, (text) => text === 'got second')).toEqual(['got first', 'got second'])
    await adopted.stop(0)
    expect(isAlive(record.identity)).toBe(false)
  } finally {
    await killTree(record)
  }
})
