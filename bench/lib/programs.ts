import { fileURLToPath } from 'node:url'
import { findClaude } from '../../packages/server/src/claude/find.ts'
import { systemPath } from '../../packages/server/src/lib/system-path.ts'
import type { Program } from './fake-claude.ts'

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** Both sides of every comparison run on the Node that runs this. */
export const node = process.execPath
/** For profiles: their lines are the sources'. */
export const serverSources = at('packages/server/src/main.ts')
export const cliProgram = at('packages/cli/bin/aicm.js')

/** The whole environment of what is started here: nothing of the caller's is passed on. Both sides get the compile cache. */
export const plainEnvironment = (home: string): Record<string, string> => ({
  PATH: systemPath,
  HOME: home,
  LANG: 'C.UTF-8',
  NODE_COMPILE_CACHE: at('node_modules/.cache/aicm-compile'),
})

/** The real CLI, as the server would find it. */
export const realClaude = (): Program => {
  const found = findClaude({ setting: undefined, path: process.env['PATH'] ?? systemPath })
  if ('error' in found) throw new Error(found.error)
  return { path: found.path, flags: [] }
}
