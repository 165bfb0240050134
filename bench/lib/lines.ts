import { createInterface } from 'node:readline'
import type { Child } from './child.ts'

/** The next line a child prints that begins with `word`: what follows it. One is waited for at a time. */
export type Words = { next(word: string): Promise<string> }

export const wordsOf = (child: Child): Words => {
  const lines = createInterface({ input: child.stdout })
  const ended = child.exited.then((code) => new Error(`The program ended with ${code}.`))
  return {
    next: (word) =>
      new Promise((resolve, reject) => {
        const look = (line: string): void => {
          if (!line.startsWith(word)) return
          lines.off('line', look)
          resolve(line.slice(word.length).trim())
        }
        lines.on('line', look)
        void ended.then(reject)
      }),
  }
}
