import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { seenOfFeature, type Answer } from '../lib/http.ts'
import { notBuilt, type Row } from '../lib/row.ts'

const secret = 'outside-7c1d90'
/** How often a file is asked for while what it is changes all the time. */
const swaps = { full: 5000, quick: 500, test: 200 }

/** Swaps two names for ever: one is a plain file, the other a link to what is outside. */
const swapper = `
const { renameSync } = require('node:fs')
const { workerData: [a, b, c] } = require('node:worker_threads')
while (true) { try { renameSync(a, c); renameSync(b, a); renameSync(c, b) } catch {} }
`

/** Odd as it is, it names a file of the workspace's own. */
const isOneName = (way: string): boolean => {
  try {
    return /^[^/\0]{3,}$/.test(decodeURIComponent(way)) && !['link', 'dangling', 'loop', 'fifo'].includes(way)
  } catch {
    return false
  }
}

export const fileApi: Row = {
  name: 'file-api',
  title:
    'file API: .. in every encoding, absolute paths, /proc, links out, dangling links, links swapped in a loop, FIFOs and devices',
  expected: 'nothing read or written outside',
  run: async (attack, attempt) => {
    const { ask, alice, dataDir } = await attack.shared()
    const workspace = await alice.client.workspaces.create({ name: 'files' })
    const base = `/v1/workspaces/${workspace.id}/files`
    const seen = seenOfFeature(await ask(base, { token: alice.token }))
    attempt('a listing', '200', seen)
    if (seen === notBuilt) return void (await alice.client.workspaces.delete(workspace.id))

    const outside = join(dataDir, 'outside')
    const target = join(outside, 'secret.txt')
    mkdirSync(outside)
    writeFileSync(target, secret)
    const at = (name: string): string => join(workspace.path, name)
    writeFileSync(at('plain.txt'), 'inside')
    symlinkSync(target, at('link'))
    symlinkSync(outside, at('folder'))
    symlinkSync(join(outside, 'made-by-write.txt'), at('dangling'))
    symlinkSync('loop', at('loop'))
    symlinkSync('/proc/self/root', at('proc'))
    execFileSync('mkfifo', [at('fifo')])

    const read = (path: string): Promise<Answer> => ask(`${base}/content?path=${path}`, { token: alice.token })
    const write = (path: string): Promise<Answer> =>
      ask(`${base}/content?path=${path}`, {
        ...{ method: 'PUT', token: alice.token, body: 'overwritten' },
        headers: { 'content-type': 'application/octet-stream' },
      })
    attempt('a plain file', '200', (await read('plain.txt')).seen)

    const up = [
      '..',
      '%2e%2e',
      '.%2e',
      '%252e%252e',
      '..%00',
      '%c0%ae%c0%ae',
      '%u002e%u002e',
      encodeURIComponent('．．'),
      '..;',
      '....//..',
    ]
    const ways = [
      ...up.flatMap((dots) =>
        ['/', '%2f', '%5c', '%252f'].map((slash) => [dots, dots, dots, 'outside', 'secret.txt'].join(slash)),
      ),
      target,
      `/${target}`,
      encodeURIComponent(target),
      `file://${target}`,
      `plain.txt/../../../../outside/secret.txt`,
      'link',
      'folder/secret.txt',
      'dangling',
      'loop',
      `proc${target}`,
      `/proc/self/root${target}`,
      '/proc/self/environ',
      '/dev/zero',
      'fifo',
      '',
      '.',
      '%00',
      `plain.txt%00.png`,
    ]
    for (const way of ways) {
      const answers = [await read(way), await write(way)]
      for (const [index, answer] of answers.entries()) {
        const told = answer.text.includes(secret) || answer.text.includes('AICM_')
        attempt(
          `${index === 0 ? 'read' : 'write'} ${way}`,
          `400 or 403 or 404 or 409 or 415${isOneName(way) ? ' or 200' : ''}`,
          told ? 'read outside' : answer.seen,
        )
      }
    }
    attempt('what is outside', secret, readFileSync(target, 'utf8'))
    attempt(
      'a file made through a dangling link',
      'none',
      existsSync(join(outside, 'made-by-write.txt')) ? 'made' : 'none',
    )

    writeFileSync(at('swap-a'), 'inside')
    symlinkSync(target, at('swap-b'))
    const worker = new Worker(swapper, { eval: true, workerData: ['swap-a', 'swap-b', 'swap-c'].map(at) })
    const escapes = { read: 0, written: 0 }
    try {
      for (let tried = 0; tried < swaps[attack.size]; tried++) {
        const answer = await (tried % 10 === 9 ? write('swap-a') : read('swap-a'))
        if (answer.text.includes(secret)) escapes.read += 1
      }
    } finally {
      await worker.terminate()
    }
    if (readFileSync(target, 'utf8') !== secret) escapes.written += 1
    attempt(
      `${swaps[attack.size]} tries of a swapped link`,
      '0 read, 0 written',
      `${escapes.read} read, ${escapes.written} written`,
    )
    rmSync(outside, { recursive: true })
    await alice.client.workspaces.delete(workspace.id)
  },
}
