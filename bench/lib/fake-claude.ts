import { chmodSync, constants, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fakeClaudePath } from '@aicm/testing/fake-claude'
import { temporaryFolder } from './folder.ts'
import { node } from './programs.ts'
import type { Scope } from './scope.ts'

/** A program in claude's place, and the server's flags that let a sandbox see what it needs. */
export type Program = { path: string; flags: readonly string[] }

const install = async (scope: Scope, script: string): Promise<AsyncDisposable & { path: string; folder: string }> => {
  const { path: folder, ...owned } = await temporaryFolder(scope)
  const path = join(folder, 'claude')
  writeFileSync(path, `#!/bin/sh\n${script}`)
  // Sessions run as other users where the server is root.
  for (const reachable of [folder, path]) chmodSync(reachable, 0o755)
  return { path, folder, ...owned }
}

/** `files` with `claude.mjs` among them, on the Node that runs this. */
const installOnNode = async (
  scope: Scope,
  files: Record<string, string | Buffer>,
): Promise<Program & AsyncDisposable> => {
  const { folder, ...installed } = await install(scope, `exec "\${0%/*}/node" "\${0%/*}/claude.mjs" "$@"\n`)
  copyFileSync(node, join(folder, 'node'), constants.COPYFILE_FICLONE)
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return { ...installed, flags: ['--read-only-mount', folder] }
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
  return { ...installed, flags: [] }
}
