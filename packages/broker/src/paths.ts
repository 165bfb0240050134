import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Linux takes 107 bytes in a socket's path and macOS 103. */
const longestSocketPath = 100

export type SocketPaths = {
  /** The directory to show to a sandbox: never the socket itself, whose file is a new one after each start. */
  apiDir: string
  api: string
  control: string
  /** Set when the data folder's path is too long for sockets: the folder in /tmp that holds them instead. */
  runtimeDir: string | null
}

const under = (dir: string, runtimeDir: string | null): SocketPaths => ({
  apiDir: join(dir, 'api'),
  api: join(dir, 'api', 'api.sock'),
  control: join(dir, 'control.sock'),
  runtimeDir,
})

/**
 * Where the sockets of the broker with this folder are. Pure, and independent of the environment: server and broker must
 * come to the same answer, also when they were started with another TMPDIR.
 */
export const socketPaths = (dir: string): SocketPaths => {
  const folder = resolve(dir)
  const here = under(folder, null)
  if (Buffer.byteLength(here.api) <= longestSocketPath) return here
  const name = `aicm-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`
  return under(join('/tmp', name), join('/tmp', name))
}

/**
 * Makes the folders that hold the sockets, with the modes they need. Other users may pass through to `api/`, where a
 * session's token decides; everything else in the broker's folder is the owner's alone.
 */
export const prepareFolders = (dir: string): SocketPaths => {
  mkdirSync(resolve(dir), { recursive: true })
  chmodSync(resolve(dir), 0o711)
  const paths = socketPaths(dir)
  if (paths.runtimeDir !== null) prepareRuntimeDir(paths.runtimeDir)
  mkdirSync(paths.apiDir, { recursive: true })
  chmodSync(paths.apiDir, 0o755)
  return paths
}

/** Its name can be guessed and /tmp is everybody's, so whatever somebody else has put there is refused. */
const prepareRuntimeDir = (dir: string): void => {
  try {
    mkdirSync(dir, { mode: 0o700 })
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  }
  const found = lstatSync(dir)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) {
    throw new Error(`${dir} belongs to somebody else. Remove it, or choose a data folder with a shorter path.`)
  }
  chmodSync(dir, 0o700)
}

export const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
