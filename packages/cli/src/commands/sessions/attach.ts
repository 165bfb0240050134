import type { Client, SessionHandle } from '@aicm/client'
import { randomUuid } from '@aicm/client'
import type { Session, StreamItem } from '@aicm/protocol'
import { createApprovalQuestions } from './approval-questions.ts'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findSession } from '../../find.ts'
import { inertLine } from '../../inert.ts'
import { readLines } from '../../read-input.ts'
import { noteReconnects } from './reconnect-notes.ts'
import { createRenderer } from '../../render.ts'

export const attach = async (context: Context, given: string): Promise<ExitCode> => {
  const client = await context.client()
  const info = await findSession(client, given)
  return follow(context, client, client.session(info.id), info)
}

const follow = async (context: Context, client: Client, session: SessionHandle, info: Session): Promise<ExitCode> => {
  const { io, json, signal } = context
  const interactive = io.stdin.isTTY === true && !json
  /** What was typed here stands on the screen already. */
  const typed = new Set<string>()
  const renderer = createRenderer(context, { prompts: (turnId) => !typed.has(turnId ?? '') })
  const note = json ? () => {} : renderer.note
  const dim = (text: string) => note(context.err.style.dim(text))
  const questions = createApprovalQuestions({ context, client, interactive, note, started: false })

  /** Turns without a `complete` so far. */
  const turns = new Set<string>()
  let status = info.status
  let interrupted = false

  const tell = (error: unknown) => dim(inertLine(error instanceof Error ? error.message : String(error)))
  const onLine = (line: string) => {
    if (questions.answer(line) || line.trim() === '') return
    const id = randomUuid()
    typed.add(id)
    session.execute(line, { id, signal }).accepted.catch((error: unknown) => signal.aborted || tell(error))
  }
  const onInterrupt = () => {
    if (turns.size === 0 || interrupted) return context.leave(exitCodes.ok)
    interrupted = true
    dim('Interrupting. Ctrl-C again leaves.')
    session.interrupt().catch(tell)
  }
  const stops = [
    io.onSignal('SIGINT', onInterrupt),
    io.onSignal('SIGTERM', () => context.leave(exitCodes.terminated)),
    noteReconnects(client, dim),
    ...(interactive ? [readLines(io, { onLine, onEnd: () => context.leave(exitCodes.ok) })] : []),
  ]

  const keepCount = (item: StreamItem) => {
    if (item.type === 'prompt' && item.turnId !== undefined) turns.add(item.turnId)
    else if (item.type === 'status') status = item.status
    else if (item.type === 'complete') {
      turns.delete(item.turnId ?? '')
      interrupted = false
    } else if (item.type === 'approval') questions.see(item)
  }
  /** True at the end: a closed session says no more. */
  const caughtUp = (seq: number): boolean => {
    if (seq < info.lastSeq) return false
    if (status === 'closed') return true
    questions.start()
    return false
  }

  try {
    if (!json && !interactive && info.status !== 'closed') dim(`Following ${info.id}. Ctrl-C leaves.`)
    if (interactive && info.status !== 'closed')
      dim(`${info.id}: type a prompt and press Enter. Ctrl-C interrupts a running turn, otherwise it leaves.`)
    if (caughtUp(0)) return exitCodes.ok
    for await (const item of session.events({ signal })) {
      if (json) context.out.json(item)
      else renderer.item(item)
      keepCount(item)
      if (item.type !== 'delta' && caughtUp(item.seq)) break
    }
    return exitCodes.ok
  } finally {
    for (const stop of stops) stop()
    renderer.end()
  }
}
