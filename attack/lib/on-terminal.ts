import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { aicmEnv, aicmPath } from '../../e2e/lib/aicm.ts'

const run = promisify(execFile)

/** Runs a command on a terminal of its own, and ends as it does. Source: script(1). */
export const onTerminal = (command: readonly string[]): [string, ...string[]] => {
  const quoted = command.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(' ')
  return ['script', '-q', '-f', '-e', '-c', `exec ${quoted}`, '/dev/null']
}

/** Every byte that `aicm` gives to the terminal it runs on, colours left out. */
export const aicmOnTerminal = async (url: string, home: string, args: readonly string[]): Promise<string> => {
  const [script, ...rest] = onTerminal([process.execPath, aicmPath, ...args])
  const env = aicmEnv(home, { AICM_SERVER: url, NO_COLOR: '1' })
  const { stdout } = await run(script, rest, { env, timeout: 60_000 })
  return stdout.replaceAll('\r\n', '\n')
}
