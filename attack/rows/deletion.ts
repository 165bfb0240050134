import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openInside } from '../lib/inside.ts'
import type { Row } from '../lib/row.ts'

const rounds = { full: 12, quick: 8, test: 3 }
const files = 50
const folders = 20

/** Exchanges folders with links that lead outside, for ever. Source: renameat2(2), RENAME_EXCHANGE. */
const swapper = `while(1){ for my $i (0..${folders - 1}){ syscall(316, -100, "d$i", -100, "l$i", 2) } select(undef, undef, undef, 0.0001) }`

export const deletion: Row = {
  name: 'deletion',
  title: 'folders swapped for links that lead outside, while the server deletes the workspace they are in',
  expected: 'nothing deleted outside',
  run: async (attack, attempt) => {
    const { ask, alice, dataDir } = await attack.shared()
    const { client } = alice
    const outside = join(dataDir, 'never-deleted')
    mkdirSync(outside)
    for (let at = 0; at < files; at++) writeFileSync(join(outside, `file-${at}`), 'x')
    for (let round = 1; round <= rounds[attack.size]; round++) {
      const workspace = await client.workspaces.create({ name: `deleted-${round}` })
      const inside = await openInside(client, workspace.id)
      await inside.run(
        `for i in $(seq 0 ${folders - 1}); do mkdir d$i; touch d$i/a d$i/b d$i/c; ln -s ${outside} l$i; done; nohup setsid perl -e '${swapper}' >/dev/null 2>&1 &`,
      )
      await client.session(inside.sessionId).close()
      const { seen } = await ask(`/v1/workspaces/${workspace.id}`, { method: 'DELETE', token: alice.token })
      attempt(`deletion ${round}`, '204 or 409', seen)
      await inside[Symbol.asyncDispose]()
    }
    attempt('files deleted outside', '0', `${files - readdirSync(outside).length}`)
  },
}
