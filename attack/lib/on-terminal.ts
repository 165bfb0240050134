import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { aicmEnv, aicmPath } from '../../e2e/lib/aicm.ts'

const run = promisify(execFile)

/** Every byte that `aicm` gives to the terminal it runs on, colours left out. Source: script(1). */
export const aicmOnTerminal = async (url: string, home: string, args: readonly string[]): Promise<string> => {
  const command = [process.execPath, aicmPath, ...args].map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(' ')
  const env = aicmEnv(home, { AICM_SERVER: url, NO_COLOR: '1' })
  const { stdout } = await run('script', ['-q', '-c', command, '/dev/null'], { env, timeout: 60_000 })
  return stdout.replaceAll('\r\n', '\n')
}
