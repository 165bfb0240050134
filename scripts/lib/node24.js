import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { root } from './root.js'

/** The oldest Node that runs the TypeScript sources as they are. */
const oldest = 24

/**
 * The Node that runs the program: this one where it is new enough, else the one npm installed beside us.
 * @returns {string} path of a `node` executable
 */
export const node24 = () => {
  if (Number.parseInt(process.versions.node) >= oldest) return process.execPath
  const bundled = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(bundled)) return bundled
  throw new Error(
    `This needs Node ${oldest} or newer; this is ${process.version}, and no Node is packaged for ${process.platform}-${process.arch}. ` +
      `Install Node ${oldest} (https://nodejs.org) and run the command again.`,
  )
}

/** The environment of a tool of this repository: our own executables, Node among them, come first. */
export const toolEnv = () => ({
  ...process.env,
  PATH: [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
})

/** The machine's own PATH: `npm ci` replaces node_modules and must not run on the Node that lies in it. */
export const systemEnv = () => ({
  ...process.env,
  PATH: (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(join(root, 'node_modules')))
    .join(delimiter),
})
