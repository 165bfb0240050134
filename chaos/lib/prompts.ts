import { fakeTokens } from '@aicm/testing/fake-claude'

/** What the stand-in for claude is told to say, and what it says then, a text for each block. */
export type Scripted = { prompt: string; answer: string[] }

const below = (random: () => number, limit: number): number => Math.floor(random() * limit)

/** Streamed token by token, or in numbered lines, or both, with and without thinking before. */
export const randomPrompt = (random: () => number): Scripted => {
  const number = below(random, 1_000_000)
  const tokens = 20 + below(random, 150)
  const lines = 5 + below(random, 60)
  const numbered = Array.from({ length: lines }, (_, line) => `line ${line}`)
  switch (below(random, 4)) {
    case 0:
      return { prompt: `@tokens(${tokens},1)`, answer: [fakeTokens(tokens)] }
    case 1:
      return { prompt: `@lines(${lines})`, answer: numbered }
    case 2:
      return { prompt: `@think(${tokens}) @text(é😀 ${number})`, answer: [`é😀 ${number}`] }
    default:
      return {
        prompt: `@text(${number}) @lines(${lines}) @tokens(${tokens})`,
        answer: [`${number}`, ...numbered, fakeTokens(tokens)],
      }
  }
}

/** Blocks that the stand-in notes one by one, so that a killed one knows which it had said. */
export const notedPrompt = (random: () => number): Scripted => {
  const number = below(random, 1_000_000)
  const [first, second] = [20 + below(random, 60), 20 + below(random, 60)]
  return {
    prompt: `@tokens(${first},1) @text(é😀 ${number}) @tokens(${second},1)`,
    answer: [fakeTokens(first), `é😀 ${number}`, fakeTokens(second)],
  }
}
