import { readFileSync, readdirSync } from 'node:fs'

const folder = new URL('../fixtures/claude-2.1.330/', import.meta.url)

/** What the real claude said, by name of the recording: its output as it came, without what was written to its input. */
export const recordings = (): Map<string, string> =>
  new Map(
    readdirSync(folder).map((name) => [
      name.replace('.ndjson', ''),
      readFileSync(new URL(name, folder), 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('>>> '))
        .map((line) => `${line}\n`)
        .join(''),
    ]),
  )
