// `node scripts/node.js file.ts …` runs a file on Node 24, whatever Node started this.
import { ensureInstalled } from './lib/install.js'
import { node24, toolEnv } from './lib/node24.js'
import { become } from './lib/run.js'

try {
  ensureInstalled()
  become(node24(), process.argv.slice(2), toolEnv())
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
