// `npm start`: installs and builds what is missing, then becomes the server. Runs on Node 20.
import { join } from 'node:path'
import { builtServer, ensurePrograms } from './lib/artifacts.js'
import { ensureInstalled } from './lib/install.js'
import { node24 } from './lib/node24.js'
import { root } from './lib/root.js'
import { become } from './lib/run.js'

try {
  ensureInstalled()
  ensurePrograms()
  const compileCache = join(root, 'node_modules', '.cache', 'aicm-compile')
  become(node24(), [...builtServer, ...process.argv.slice(2)], { NODE_COMPILE_CACHE: compileCache, ...process.env })
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
