import { chmodSync, constants, copyFileSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fakeClaudePath } from '@aicm/testing/fake-claude'
import { temporaryFolder } from './folder.ts'
import { node } from './programs.ts'
import type { Scope } from './scope.ts'

/** A program in claude's place. A sandbox shows the file and the home folder: what else it needs is put there. */
export type Program = { path: string; furnish(home: string): void }

const install = async (scope: Scope, script: string): Promise<AsyncDisposable & { path: string; folder: string }> => {
  const { path: folder, ...owned } = await temporaryFolder(scope)
  const path = join(folder, 'claude')
  writeFileSync(path, `#!/bin/sh\n${script}`)
  chmodSync(path, 0o755)
  return { path, folder, ...owned }
}

/** `files` with `claude.mjs` among them, on the Node that runs this. */
const installOnNode = async (
  scope: Scope,
  files: Record<string, string | Buffer>,
): Promise<Program & AsyncDisposable> => {
  const { folder, ...installed } = await install(scope, `exec "$HOME/fake/node" "$HOME/fake/claude.mjs" "$@"\n`)
  const nodeCopy = join(folder, 'node')
  copyFileSync(node, nodeCopy, constants.COPYFILE_FICLONE)
  return {
    ...installed,
    furnish: (home) => {
      mkdirSync(join(home, 'fake'), { recursive: true })
      linkSync(nodeCopy, join(home, 'fake', 'node'))
      for (const [name, content] of Object.entries(files)) writeFileSync(join(home, 'fake', name), content)
    },
  }
}

/** The stand-in for claude of the tests: what it does is said in the prompt. */
export const installFakeClaude = (scope: Scope): Promise<Program & AsyncDisposable> =>
  installOnNode(scope, { 'claude.mjs': readFileSync(fakeClaudePath) })

const busyClaude = new URL('../programs/busy-claude.mjs', import.meta.url)

/** A claude whose every answer is so many events, written as fast as they are taken. */
export const installBusyClaude = (scope: Scope, events: number): Promise<Program & AsyncDisposable> =>
  installOnNode(scope, { 'claude.mjs': readFileSync(busyClaude), events: String(events) })

/** Answers one prompt with `answer` (lines of stream-json) and ends. A shell: a thousand are started quickly. */
export const installOneAnswerClaude = async (scope: Scope, answer: string): Promise<Program & AsyncDisposable> => {
  const script = `moved() { printf '{"type":"command_lifecycle","command_uuid":"%s","state":"%s"}\\n' "$uuid" "$1"; }
[ "$1" = --version ] && exec echo '2.1.330 (Claude Code)'
while IFS= read -r line; do
  case $line in
  *'"initialize"'*)
    echo '{"type":"control_response","response":{"subtype":"success","request_id":"aicm-initialize","response":{}}}' ;;
  *'"type":"user"'*)
    uuid=\${line#*'"uuid":"'}
    uuid=\${uuid%%'"'*}
    moved started
    cat <<'END'
${answer}END
    moved completed
    exit 0 ;;
  esac
done
`
  const { folder: _, ...installed } = await install(scope, script)
  return { ...installed, furnish: () => undefined }
}
