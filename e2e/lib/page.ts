import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Builds the page when nobody has yet. `npm test` does so before the tests. */
export const ensurePage = (): void => {
  if (existsSync(`${root}/packages/web/dist/index.html`)) return
  execFileSync(process.execPath, [`${root}/node_modules/vite/bin/vite.js`, 'build', 'packages/web'], {
    cwd: root,
    stdio: 'inherit',
  })
}
