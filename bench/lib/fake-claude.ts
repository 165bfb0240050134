import { chmodSync, constants, copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fakeClaudePath } from '@aicm/testing/fake-claude'
import { temporaryFolder, type Folder } from './folder.ts'
import { node } from './programs.ts'
import type { Scope } from './scope.ts'

export type Program = AsyncDisposable & { path: string }

const install = (folder: Folder, script: string): Program => {
  const path = join(folder.path, 'claude')
  writeFileSync(path, script)
  chmodSync(path, 0o755)
  return { ...folder, path }
}

/** The stand-in for claude, with this Node beside it: a sandbox shows the program's folder and not ours. */
export const installFakeClaude = async (scope: Scope): Promise<Program> => {
  const folder = await temporaryFolder(scope)
  copyFileSync(node, join(folder.path, 'node'), constants.COPYFILE_FICLONE)
  copyFileSync(fakeClaudePath, join(folder.path, 'fake-claude.mjs'))
  return install(folder, `#!/bin/sh\nexec '${folder.path}/node' '${folder.path}/fake-claude.mjs' "$@"\n`)
}

/** A claude that answers one prompt with `answer` (lines of stream-json) and ends. A shell: a thousand are started quickly. */
export const installOneAnswerClaude = async (scope: Scope, answer: string): Promise<Program> => {
  const folder = await temporaryFolder(scope)
  writeFileSync(join(folder.path, 'answer.ndjson'), answer)
  return install(
    folder,
    `#!/bin/sh
moved() { printf '{"type":"command_lifecycle","command_uuid":"%s","state":"%s"}\\n' "$uuid" "$1"; }
[ "$1" = --version ] && exec echo '2.1.330 (Claude Code)'
while IFS= read -r line; do
  case $line in
  *'"initialize"'*)
    echo '{"type":"control_response","response":{"subtype":"success","request_id":"aicm-initialize","response":{}}}' ;;
  *'"type":"user"'*)
    uuid=\${line#*'"uuid":"'}
    uuid=\${uuid%%'"'*}
    moved started
    cat '${folder.path}/answer.ndjson'
    moved completed
    exit 0 ;;
  esac
done
`,
  )
}
