import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Row } from '../lib/row.ts'

/** The files below the data folder that hold a secret of the server's. */
const keyFiles = (dataDir: string): string[] =>
  readdirSync(dataDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.key$|keys?\.json$/.test(entry.name))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => !path.includes('/users/') && !path.includes('/workspaces/'))

export const signingSecret: Row = {
  name: 'signing-secret',
  title: 'an empty or a short signing secret; one that others can read',
  expected: 'refuses to start; 0600',
  run: async (attack, attempt) => {
    await using target = await attack.own()
    const { server, dataDir } = target
    await server.kill()
    const files = keyFiles(dataDir)
    attempt('secrets of the server', 'some', files.length > 0 ? 'some' : 'none')
    for (const path of files) {
      const name = path.slice(dataDir.length + 1)
      attempt(`the mode of ${name}`, '600', (statSync(path).mode & 0o777).toString(8))
      const whole = readFileSync(path)
      const kinds = [
        ['an empty', Buffer.alloc(0)],
        ['a short', whole.subarray(0, 8)],
        ['a one-byte-short', whole.subarray(0, -1)],
      ] as const
      for (const [kind, bytes] of attack.size === 'test' ? kinds.slice(0, 1) : kinds) {
        writeFileSync(path, bytes)
        const { ready, exited } = await server.start()
        const seen = await Promise.race([
          ready.then(
            () => 'started',
            () => 'refused',
          ),
          exited.then((code) => (code === 0 ? 'ended as if all were well' : 'refused')),
        ])
        attempt(`a start with ${kind} ${name}`, 'refused', seen)
        await server.kill()
        attempt(`${name} afterwards`, 'as it was', readFileSync(path).equals(bytes) ? 'as it was' : 'overwritten')
      }
      writeFileSync(path, whole)
    }
    await (
      await server.start()
    ).ready
    attempt('a start with all as it was', 'served', await target.serves())
  },
}
