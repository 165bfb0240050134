// `npm run build`, and before `npm pack`: the page and the bundles that make up the installed package, in dist/.
import { ensureInstalled } from './lib/install.js'
import { ensurePrograms } from './lib/artifacts.js'

try {
  ensureInstalled()
  ensurePrograms()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
