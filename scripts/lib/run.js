import { spawn, spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { root } from './root.js'

/**
 * Runs a command to its end with our own output.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 * @returns {boolean} whether it succeeded
 */
export const run = (command, args, { env = process.env, cwd = root } = {}) => {
  const { error, status } = spawnSync(command, args, { cwd, env, stdio: 'inherit' })
  if (error) throw new Error(`${command} could not be started: ${error.message}`, { cause: error })
  return status === 0
}

/**
 * Runs a command and keeps what it says.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string }} [options]
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
export const capture = (command, args, { env = process.env, cwd = root } = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ ok: code === 0, output }))
  })

/**
 * Becomes another program. Where Node can replace the process it does: one process, one pid, signals need no forwarding.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
export const become = (command, args, env) => {
  if (process.execve) process.execve(command, [command, ...args], env)
  const child = spawn(command, args, { env, stdio: 'inherit' })
  // A terminal sends Ctrl-C to the child as well: forwarding it would be a second one, which means "leave at once".
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(`${command} could not be started: ${error.message}`)
    process.exit(1)
  })
  child.on('close', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)))
}
