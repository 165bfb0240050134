import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The stand-in for claude: an executable file that needs `node` on the PATH. What it does is written at its top. */
export const fakeClaudePath = fileURLToPath(new URL('fake-claude.mjs', import.meta.url))

/** Puts a `claude` into `dir` that runs the stand-in with this Node, wherever that is. Not for a sandbox, which hides both. */
export const installFakeClaude = (dir: string): string => {
  const path = join(dir, 'claude')
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${fakeClaudePath}' "$@"\n`)
  chmodSync(path, 0o755)
  return path
}

/** The text of `@tokens(count)`. */
export const fakeTokens = (count: number): string =>
  Array.from({ length: count }, (_, index) => `tok${index}`).join(' ')
