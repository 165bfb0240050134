import { fileURLToPath } from 'node:url'

const sources = new URL('./main.ts', import.meta.url)

/**
 * The command line of a broker for a folder; `main` is its program where that is not the source beside this file.
 * What it passes on lies outside the heap: with a large young generation V8 would collect everything again and again to get
 * rid of that, which takes as long as passing it on.
 */
export const brokerCommand = (dir: string, main = fileURLToPath(sources)): [string, ...string[]] => [
  process.execPath,
  '--max-semi-space-size=1',
  main,
  '--dir',
  dir,
]
