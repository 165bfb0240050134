/**
 * Run inside walls, by Node: leads from a port of its own to the proxy's socket, for programs that know proxies at ports only.
 * The socket is gone to by its folder: a long path would be cut off. Its environment is the command's, made name by name by who
 * starts it: nothing of the server's is there.
 */
const relay = `
import { spawn } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream'

const [socket, command, ...args] = process.argv.slice(1)
const cwd = process.cwd()
process.chdir(dirname(socket))
const server = createServer((inner) => pipeline(inner, connect('api.sock'), inner, () => undefined))
server.listen(0, '127.0.0.1', () => {
  process.env.ALL_PROXY = 'socks5h://127.0.0.1:' + server.address().port
  const child = spawn(command, args, { cwd, stdio: 'inherit' })
  child.on('error', (error) => process.exit(console.error(error.message) ?? 127))
  child.on('exit', (code) => process.exit(code ?? 1))
})
`

/** Needs only Node's own program. Behind it: the path of the SOCKS proxy's `api.sock`, and a command, which has ALL_PROXY set. */
export const behindProxy = [process.execPath, '--input-type=module', '--eval', relay, '--'] as const
