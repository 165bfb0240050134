import { randomUUID } from 'node:crypto'
import { claudeArgv } from '../../packages/server/src/claude/argv.ts'
import { encode } from '../../packages/server/src/claude/encode.ts'
import { claudeEnvironment } from '../../packages/server/src/claude/environment.ts'
import { systemPath } from '../../packages/server/src/lib/system-path.ts'
import { startChild, type Child } from './child.ts'
import { createMarker } from './marker.ts'
import type { Scope } from './scope.ts'
import type { Prompted } from './turn.ts'

export type DirectClaude = Prompted & AsyncDisposable

/** The arguments the server starts it with. */
export const claudeArguments = (conversation: Parameters<typeof claudeArgv>[1] = { create: randomUUID() }): string[] =>
  claudeArgv({ model: null, permissionMode: 'default', systemPrompt: null, maxTurns: null }, conversation)

export const promptLine = (prompt: string): string =>
  encode({ kind: 'prompt', turnId: randomUUID(), content: [{ type: 'text', text: prompt }] })

/** Its environment as the server makes it; nothing more, and no sandbox around it. */
export const directEnvironment = (options: {
  home: string
  brokerSocket: string
  token: string
}): Record<string, string> =>
  claudeEnvironment({
    ...options,
    tmp: options.home,
    path: systemPath,
    marker: { name: 'AICM_BENCH', value: 'direct' },
  })

const prompted = (child: Child): Prompted => ({
  prompt: (text) =>
    new Promise((resolve, reject) => {
      const received: Buffer[] = []
      const hasText = createMarker('"text_delta"')
      const hasResult = createMarker('"type":"result"')
      let firstTextMs = Number.NaN
      const start = performance.now()
      const take = (chunk: Buffer): void => {
        received.push(chunk)
        if (Number.isNaN(firstTextMs) && hasText(chunk)) firstTextMs = performance.now() - start
        if (!hasResult(chunk)) return
        child.stdout.off('data', take)
        resolve({ firstTextMs, wholeMs: performance.now() - start, received })
      }
      child.stdout.on('data', take)
      void child.exited.then((code) => reject(new Error(`claude ended with ${code}.`)))
      child.stdin.write(promptLine(text))
    }),
})

/**
 * claude with pipes and nothing around it. A prompt is written without waiting for anything: asking it to initialize first
 * would only make it slower.
 */
export const startDirectClaude = async (
  scope: Scope,
  options: {
    program: string
    cwd: string
    env: Record<string, string>
    conversation?: Parameters<typeof claudeArgv>[1]
  },
): Promise<DirectClaude> => {
  const child = await startChild(scope, {
    argv: [options.program, ...claudeArguments(options.conversation)],
    cwd: options.cwd,
    env: options.env,
  })
  return { ...prompted(child), [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() }
}
