import { readFileSync } from 'node:fs'
import { confine, type Walls } from '../isolation/confine.ts'
import { assets } from '../lib/assets.ts'
import { once } from '../lib/once.ts'
import { systemPath } from '../lib/system-path.ts'
import { talk } from '../process/talk.ts'
import { encodeFrame, readFrames } from './helper-frames.ts'
import { chunkBytes, type HelperRequest } from './helper-protocol.ts'

/** What the helper said no to, by its own code or the system's. It is as good as before. */
export class HelperRefusedError extends Error {
  readonly code: string
  constructor(code: string) {
    super(`the helper refused: ${code}`)
    this.code = code
  }
}

/** A process that touches the files of one workspace. One thing is asked after the other. */
export type Helper = {
  /** Rejects with HelperRefusedError, or because it is gone. */
  ask(request: HelperRequest, timeoutMs?: number): Promise<Record<string, unknown>>
  /** Resolves when there is room for more. */
  send(data: Uint8Array): Promise<void>
  /** Of the file that is open; so many bytes, or it throws. */
  read(start: number, length: number): AsyncGenerator<Buffer, void, void>
  /** Lets it end, or ends it. What it had begun leaves nothing behind. */
  end(): Promise<unknown>
  ended: Promise<unknown>
  /** Nothing is open or under way in it: it may be asked for something else. */
  isResting(): boolean
}

export type HelperPlace = {
  /** The workspace. */
  path: string
  /** It lies where others can write: see ChildFolder. */
  exact: boolean
  walls: Walls
  accountsDir: string
}

const answerMs = 30_000
const graceMs = 1000

/** The program as a text, for `--eval`: its own file need not be seen where it runs. */
const program = once((): [string, string, string, string] => {
  const language = assets.filesHelper.endsWith('.ts') ? 'module-typescript' : 'module'
  return [`--input-type=${language}`, '--no-warnings', '--eval', readFileSync(assets.filesHelper, 'utf8')]
})

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** Starts one. What goes wrong with that is found out by the first question. Throws where the workspace is not what it was. */
export const startHelper = ({ path, exact, walls, accountsDir }: HelperPlace): Helper => {
  const node = process.execPath
  const confined = confine({
    ...{ walls, exact, endsWithServer: true },
    view: { workspace: path, program: node, accountsDir, readOnly: [] },
    command: [node, ...program(), exact ? path : ''],
  })
  const child = talk(confined.argv, { ...confined, env: { PATH: systemPath, LANG: 'C.UTF-8', AICM_FILES: path } })
  const frames = readFrames(child.output)
  const end = () => child.end(graceMs)

  /** Nothing is open or under way in it. */
  let resting = true

  const next = async (timeoutMs: number) => {
    const timer = setTimeout(() => void end(), timeoutMs)
    try {
      let cause: unknown
      const frame = await frames.next().catch((error: unknown) => void (cause = error))
      if (frame?.value !== undefined) return frame.value
      const { reason, stderr } = await end()
      throw new Error(`the helper is gone: ${[reason, stderr.trim()].filter(Boolean).join(': ')}`, { cause })
    } finally {
      clearTimeout(timer)
    }
  }
  /** Resolves when it was taken, or when nobody is there to take it: whoever waits for an answer learns that. */
  const write = (kind: 'json' | 'data', payload: Uint8Array): Promise<void> =>
    new Promise((resolve) => child.input.write(encodeFrame(kind, payload), () => resolve()))

  const ask: Helper['ask'] = async (request, timeoutMs = answerMs) => {
    const wasResting = resting
    resting = false
    await write('json', Buffer.from(JSON.stringify(request)))
    const frame = await next(timeoutMs)
    if (frame.kind !== 'json' || !isRecord(frame.value)) throw new Error('the helper sent no answer')
    const { error } = frame.value
    const isBegun = request.op === 'open' || request.op === 'create'
    resting = request.op === 'close' || request.op === 'commit' || (wasResting && (!isBegun || error !== undefined))
    if (typeof error === 'string') throw new HelperRefusedError(error)
    return frame.value
  }

  return {
    ask,
    send: async (data) => {
      for (let from = 0; from < data.length; from += chunkBytes)
        await write('data', data.subarray(from, from + chunkBytes))
    },
    read: async function* (start, length) {
      await write('json', Buffer.from(JSON.stringify({ op: 'read', start, length } satisfies HelperRequest)))
      for (let left = length; left > 0;) {
        const frame = await next(answerMs)
        if (frame.kind !== 'data' || frame.data.length > left) throw new Error('the file was cut off meanwhile')
        left -= frame.data.length
        yield frame.data
      }
      await next(answerMs)
      await ask({ op: 'close' })
    },
    isResting: () => resting,
    end,
    ended: child.ended,
  }
}
