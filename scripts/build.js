// `npm run build`, and before `npm pack`: the page and the bundles that make up the installed package, in dist/.
// A checkout never runs what lies there.
import { cpSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureInstalled } from './lib/install.js'
import { node24, toolEnv } from './lib/node24.js'
import { root } from './lib/root.js'
import { run } from './lib/run.js'
import { ensureWeb, webBuild } from './lib/web.js'

const dist = join(root, 'dist')

/** @param {string} what @param {string[]} args arguments for Node */
const step = (what, args) => {
  if (!run(node24(), args, { env: toolEnv() })) throw new Error(`${what} failed: the reason is above.`)
}

try {
  ensureInstalled()
  ensureWeb()
  rmSync(dist, { recursive: true, force: true })
  step('Bundling', [join(root, 'scripts', 'lib', 'bundle.js')])
  step('Writing the declarations of the client', [join(root, 'scripts', 'lib', 'declarations.js')])
  cpSync(webBuild, join(dist, 'web'), { recursive: true, filter: (path) => !path.endsWith('.sources') })
  if (!existsSync(join(dist, 'web', 'index.html')))
    throw new Error('The web page has no index.html: its build is broken.')
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
