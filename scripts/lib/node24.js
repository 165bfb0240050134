import { existsSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { root } from './root.js'

/** The oldest Node that runs the TypeScript sources as they are. */
const oldest = 24

/** The Node that npm installs beside us where the machine's own is too old; it may not exist. */
export const bundledNode = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')

/**
 * The Node that runs the program: this one where it is new enough, else the one npm installed beside us.
 * @returns {string} path of a `node` executable
 */
export const node24 = () => {
  if (Number.parseInt(process.versions.node) >= oldest) return process.execPath
  if (existsSync(bundledNode)) return bundledNode
  throw new Error(
    `This needs Node ${oldest} or newer; this is ${process.version}, and no Node is packaged for ${process.platform}-${process.arch}. ` +
      `Install Node ${oldest} (https://nodejs.org) and run the command again.`,
  )
}

/** The environment of a tool of this repository: Node 24 and our own executables come first. */
export const toolEnv = () => ({
  ...process.env,
  PATH: [dirname(node24()), join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
})

/** The machine's own PATH: `npm ci` replaces node_modules and must not run on the Node that lies in it. */
export const systemEnv = () => ({
  ...process.env,
  PATH: (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(join(root, 'node_modules')))
    .join(delimiter),
})
