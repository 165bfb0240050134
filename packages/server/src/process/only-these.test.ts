import { spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { requires } from '@aicm/testing/requires'
import { tempDir } from '@aicm/testing/temp-dir'
import { open as openLmdb } from 'lmdb'
import { expect } from 'vitest'
import { onlyThese } from './only-these.ts'

requires('linux')('a child has the descriptors that it was given, and none that this process left open', async () => {
  await using dir = await tempDir()
  const database = openLmdb({ path: join(dir.path, 'kv') })
  await using file = await open(join(dir.path, 'given'), 'w+')
  const list = 'for fd in /proc/$$/fd/*; do echo "${fd##*/} $(readlink $fd)"; done'
  try {
    const child = onlyThese(['ignore', 'ignore', 'ignore', file.fd], (stdio) =>
      spawn('sh', ['-c', `(${list}) >&3`], { stdio }),
    )
    await new Promise((resolve) => child.once('exit', resolve))
    const said = await text(file.createReadStream({ start: 0, autoClose: false }))
    expect(said).toContain(join(dir.path, 'given'))
    expect(said).not.toContain('data.mdb')
    // Without it the child would have had the database.
    const careless = spawn('sh', ['-c', list], { stdio: ['ignore', 'pipe', 'ignore'] })
    expect(await text(careless.stdout)).toContain('data.mdb')
    expect(() => readlinkSync(`/proc/self/fd/${file.fd}`)).not.toThrow()
  } finally {
    await database.close()
  }
})
