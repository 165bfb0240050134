import { fileURLToPath } from 'node:url'

const sources = new URL('./main.ts', import.meta.url)

/**
 * What a broker passes on lies outside the heap. With a large young generation V8 would look through everything again and again
 * to get rid of that, and help from other threads costs more here than it brings.
 */
const flags = ['--max-semi-space-size=1', '--single-threaded-gc']

/** The command line of a broker for a folder; `main` is its program where that is not the source beside this file. */
export const brokerCommand = (dir: string, main = fileURLToPath(sources)): [string, ...string[]] => [
  process.execPath,
  ...flags,
  main,
  '--dir',
  dir,
]
