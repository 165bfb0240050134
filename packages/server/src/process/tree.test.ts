import { spawn } from 'node:child_process'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readUntil, shellProcess } from '@aicm/testing/shell-process'
import { tempDir } from '@aicm/testing/temp-dir'
import { requires } from '@aicm/testing/requires'
import { adopt } from './adopt.ts'
import { bootId, identify, isAlive, processesWithMarker, type Identity } from './identity.ts'
import { killMarked, killTree, terminate } from './tree.ts'

/** A sleeper in a session of its own that ignores SIGTERM, started by one that ends at once. */
const daemonize = `setsid sh -c "trap '' TERM; sleep 300; :" </dev/null >/dev/null 2>&1 &`

const identityOf = (pid: number | undefined): Identity => {
  const identity = pid === undefined ? undefined : identify(pid)
  if (identity === undefined) throw new Error('it ended too soon')
  return identity
}

/** Another's process: it must live through everything. */
const bystander = () => {
  const child = spawn('sleep', ['300'], { stdio: 'ignore' })
  return { pid: child.pid ?? 0, identity: identityOf(child.pid), [Symbol.dispose]: () => void child.kill('SIGKILL') }
}

for (const sandbox of [false, true]) {
  const define = sandbox ? requires('bwrap') : test
  const level = sandbox ? 'sandbox' : 'process'

  define(`at level ${level} a stop takes a daemonised child along`, async () => {
    await using child = await shellProcess(`(${daemonize}); echo started; read forever`, { sandbox })
    await readUntil(child.process, (text) => text === 'started')
    const members = await processesWithMarker(child.process.record.marker)
    expect(members.length).toBeGreaterThan(2)
    await child.process.stop(100)
    expect(await processesWithMarker(child.process.record.marker)).toEqual([])
  })

  define(`at level ${level} a daemon does not outlive a command that ends by itself`, async () => {
    await using child = await shellProcess(`(${daemonize}); exit 6`, { sandbox })
    expect(await child.process.exited).toEqual({ code: 6, signal: null })
    expect(await processesWithMarker(child.process.record.marker)).toEqual([])
  })

  define(`at level ${level} killing the outermost process ends everything inside`, async () => {
    await using child = await shellProcess(`(${daemonize}); sh -c 'sleep 300; :' & echo started; read forever`, {
      sandbox,
    })
    await readUntil(child.process, (text) => text === 'started')
    process.kill(child.process.record.identity.pid, 'SIGKILL')
    expect(await child.process.exited).toEqual({ code: null, signal: 'SIGKILL' })
    expect(await processesWithMarker(child.process.record.marker)).toEqual([])
  })

  define(`at level ${level} a stop is polite first, and kills what does not listen`, async () => {
    const listening = `trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done`
    await using polite = await shellProcess(listening, { sandbox })
    await readUntil(polite.process, (text) => text === 'ready')
    expect(await polite.process.stop(60_000)).toEqual({ code: 3, signal: null })

    await using deaf = await shellProcess(`trap '' TERM; echo ready; while :; do sleep 0.02; done`, { sandbox })
    await readUntil(deaf.process, (text) => text === 'ready')
    await terminate(deaf.process.record)
    expect(await deaf.process.stop(50)).toMatchObject({ signal: 'SIGKILL' })
  })
}

test('a process whose pid was reused is never signalled', async () => {
  await using dir = await tempDir()
  using other = bystander()
  const record = (identity: Identity) => ({ dir: dir.path, identity, marker: 'AICM_PROCESS=gone' })
  const impostors = [
    record({ ...other.identity, startTime: other.identity.startTime + 1 }),
    record({ ...other.identity, bootId: bootId().replace(/^./, (first) => (first === '0' ? '1' : '0')) }),
  ]
  // What the sandbox wrote down of its init is as old.
  await appendFile(join(dir.path, 'exit.json'), `{ "child-pid": ${other.pid} }\n`)
  for (const impostor of impostors) {
    await appendFile(join(dir.path, 'stdout.ndjson'), 'said before\n')
    await terminate(impostor)
    await killTree(impostor)
    expect(await adopt(impostor).stop(0)).toEqual({ code: null, signal: null })
    expect(isAlive(other.identity)).toBe(true)
  }
})

test('only the exact marker counts, not one that begins with it or holds it', async () => {
  const marked = (value: string, first: Record<string, string> = {}) =>
    spawn('sleep', ['300'], { stdio: 'ignore', env: { ...first, PATH: '/usr/bin:/bin', AICM_PROCESS: value } })
  const mine = `test-${process.pid}-marker`
  const children = [marked(`${mine}/1`), marked(`${mine}/10`), marked('x', { A: `AICM_PROCESS=${mine}/1` })]
  // A name before it that ends in the same text hides nothing.
  const hidden = marked(`${mine}/1`, { A: `xAICM_PROCESS=${mine}/1y` })
  try {
    const [exact, ...others] = children.map((child) => identityOf(child.pid))
    const hiddenIdentity = identityOf(hidden.pid)
    await killMarked(`AICM_PROCESS=${mine}/1`)
    expect(exact && isAlive(exact)).toBe(false)
    expect(isAlive(hiddenIdentity)).toBe(false)
    expect(others.map(isAlive)).toEqual([true, true])
  } finally {
    for (const child of [...children, hidden]) child.kill('SIGKILL')
  }
})
