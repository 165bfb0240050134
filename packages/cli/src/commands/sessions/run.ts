import type { Client, SessionHandle } from '@aicm/client'
import type { CompleteMessage, PermissionMode, StreamItem } from '@aicm/protocol'
import { createApprovalQuestions } from './approval-questions.ts'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findSession, findWorkspace } from '../../find.ts'
import { inertLine } from '../../inert.ts'
import type { Io } from '../../io.ts'
import { readAll, readLines } from '../../read-input.ts'
import { noteReconnects } from './reconnect-notes.ts'
import { createRenderer } from '../../render.ts'

type RunFlags = {
  session?: string
  workspace?: string
  model?: string
  permissionMode?: PermissionMode
  keep?: boolean
}

export const run = async (context: Context, words: string[], flags: RunFlags): Promise<ExitCode> => {
  if (flags.session !== undefined && flags.workspace !== undefined)
    throw usageError('A session has its workspace already.', 'Leave out --workspace, or --session.')
  const prompt = await readPrompt(context.io, words)
  const client = await context.client()
  const id = await openSession(client, flags)
  const oneShot = flags.session === undefined && flags.keep !== true
  try {
    if (!oneShot && flags.session === undefined) {
      if (context.json) context.err.json({ sessionId: id })
      else context.err.print(context.err.style.dim(`session ${id}`))
    }
    return await follow(context, client, client.session(id), prompt)
  } finally {
    if (oneShot) await closeSoon(client, id)
  }
}

/** The words of the command line, then what is on stdin. */
const readPrompt = async ({ stdin, stderr }: Io, words: string[]): Promise<string> => {
  const typed = words.join(' ').trim()
  if (stdin.isTTY === true) {
    if (typed !== '') return typed
    throw usageError('There is no prompt.', 'aicm run "your prompt", or give it on stdin.')
  }
  const patienceMs = 3000
  const piped = await readAll(stdin, typed === '' ? undefined : patienceMs)
  if (piped === undefined)
    stderr.write(
      `Nothing came on stdin in ${patienceMs / 1000} s: going on without it. (</dev/null avoids the wait.)\n`,
    )
  const prompt = [typed, piped?.trim() ?? ''].filter((part) => part !== '').join('\n\n')
  if (prompt === '') throw usageError('The prompt is empty.', 'aicm run "your prompt", or give it on stdin.')
  return prompt
}

const openSession = async (
  client: Client,
  { session, workspace, model, permissionMode }: RunFlags,
): Promise<string> => {
  const settings = {
    ...(model === undefined ? {} : { model }),
    ...(permissionMode === undefined ? {} : { permissionMode }),
  }
  if (session !== undefined) {
    const { id } = await findSession(client, session)
    if (Object.keys(settings).length > 0) await client.sessions.update(id, settings)
    return id
  }
  const place = workspace === undefined ? {} : { workspaceId: (await findWorkspace(client, workspace)).id }
  return (await client.sessions.create({ ...place, ...settings })).id
}

const follow = async (context: Context, client: Client, session: SessionHandle, prompt: string): Promise<ExitCode> => {
  const { io, json, signal } = context
  const renderer = createRenderer(context, { prompts: () => false })
  const note = json ? () => {} : renderer.note
  const interactive = io.stdin.isTTY === true && !json
  const questions = createApprovalQuestions({ context, client, interactive, note, started: !json })
  const execution = session.execute(prompt, { signal })

  let accepted = false
  let interrupts = 0
  const onInterrupt = async () => {
    interrupts += 1
    if (interrupts > 1 || !accepted) return context.leave(exitCodes.interrupted)
    note(context.err.style.dim(await interruptTurn(session, execution.turnId)))
  }
  const stops = [
    io.onSignal('SIGINT', () => void onInterrupt()),
    io.onSignal('SIGTERM', () => context.leave(exitCodes.terminated)),
    noteReconnects(client, (text) => note(context.err.style.dim(text))),
    ...(interactive ? [readLines(io, { onLine: (line) => void questions.answer(line) })] : []),
  ]
  try {
    await execution.accepted
    accepted = true
    let complete: CompleteMessage | undefined
    for await (const item of execution) {
      show(item)
      if (item.type === 'complete') complete = item
    }
    return complete?.result === 'success' ? exitCodes.ok : exitCodes.failed
  } finally {
    for (const stop of stops) stop()
    renderer.end()
  }

  function show(item: StreamItem) {
    if (json) return context.out.json(item)
    renderer.item(item)
    if (item.type === 'approval') questions.see(item)
  }
}

/** Only this turn: another prompt of the session may be the one that runs. */
const interruptTurn = async (session: SessionHandle, turnId: string): Promise<string> => {
  try {
    if ((await session.info()).turnId !== turnId)
      return 'The prompt still waits for its turn. Ctrl-C again leaves; it will run all the same.'
    await session.interrupt()
    return 'Interrupting. Ctrl-C again leaves.'
  } catch (error) {
    return `${inertLine(error instanceof Error ? error.message : String(error))} Ctrl-C again leaves.`
  }
}

/** The result is there already, or nobody waits for it: a server that does not answer must not hold up the end. */
const closeSoon = async (client: Client, id: string): Promise<void> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 2000)
  })
  const closed = client
    .session(id)
    .close()
    .then(
      () => {},
      () => {},
    )
  await Promise.race([closed, late])
  clearTimeout(timer)
}
