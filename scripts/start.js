// `npm start`: installs and builds what is missing, then becomes the server. Runs on Node 20.
import { join } from 'node:path'
import { ensureInstalled } from './lib/install.js'
import { node24 } from './lib/node24.js'
import { root } from './lib/root.js'
import { become } from './lib/run.js'
import { ensureWeb } from './lib/web.js'

const args = process.argv.slice(2)
const onlyAsks = ['-h', '--help', '-V', '--version'].some((flag) => args.includes(flag))

try {
  ensureInstalled()
  if (!onlyAsks) ensureWeb()
  const server = join(root, 'packages', 'server', 'src', 'main.ts')
  const compileCache = join(root, 'node_modules', '.cache', 'aicm-compile')
  become(node24(), [server, ...args], { NODE_COMPILE_CACHE: compileCache, ...process.env })
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
