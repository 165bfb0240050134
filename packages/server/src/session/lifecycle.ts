import type { Input } from './input.ts'
import { classifyExit, failureActions, retryDelay, type Failure } from './recovery.ts'
import { endTurns, runNext, sendPrompt } from './turns.ts'
import { emit, endProcess, isReached, launch, policyOf, setStatus, withdrawApprovals, type Work } from './work.ts'

/** What happens to a session's process: its end, its replacement, its adoption by a new server. */

export const exited = (work: Work, input: Extract<Input, { type: 'process.exited' }>): void => {
  const { state } = work
  const wasReady = state.process === 'ready'
  const wanted = state.process === 'stopping'
  closeUnallowedTools(work)
  withdrawApprovals(work, 'claude ended before it had an answer.', 'claude')
  state.process = 'none'
  if (state.status === 'closed') return
  // A prompt came while it was being put to sleep.
  if (wanted) return state.turn === null ? runNext(work) : launch(work, 0)
  // It says so before it takes prompts; later the same words may be anybody's.
  const relearned = !wasReady && relearnConversation(work, input.stderr)
  // Our mistake, and no failure of the replacement's: the next one starts in the right way.
  if (relearned && state.status === 'recovering' && state.failures < policyOf(work).maxRetries) {
    state.failures++
    return launch(work, 0)
  }
  const found = classifyExit(input.exit, input.stderr, wasReady)
  // Without room it hangs, or is heard in part.
  failed(work, input.exit.diskFull === true ? found : (state.ending ?? found))
}

/** A tool that nobody had allowed has not run, not even in part: the turn can go on without asking the user what it did. */
const closeUnallowedTools = ({ state }: Work): void => {
  if (state.turn === null) return
  const unallowed = state.approvals
    .filter(({ requestId, answer }) => requestId !== null && answer?.behavior !== 'allow')
    .map(({ toolUseId }) => toolUseId)
  state.turn.openTools = state.turn.openTools.filter((id) => !unallowed.includes(id))
  state.turn.notRun = unallowed
}

/**
 * claude's own record may lack a result that it had told already: it would take the tool for one that did not run, and run it
 * again. So what is open there counts as open.
 */
export const found = (work: Work, { openTools, repairs }: Extract<Input, { type: 'found' }>): void => {
  const { turn } = work.state
  for (const { text, backup } of repairs)
    emit(work, {
      type: 'progress',
      kind: 'repaired',
      text: backup === null ? text : `${text} What was there is kept as ${backup}.`,
    })
  if (turn === null) return
  const ran = openTools.filter((id) => turn.notRun?.includes(id) !== true)
  turn.openTools = [...new Set([...turn.openTools, ...ran])]
}

/** A prompt that is there already is given to it at once. Otherwise claude is asked to say when it has loaded. */
export const launched = (work: Work, { settings }: Pick<Extract<Input, { type: 'launched' }>, 'settings'>): void => {
  const { state, record } = work
  if (state.process !== 'starting') return
  state.process = 'loading'
  // They were changed while it was being started.
  if (record.model !== null && record.model !== settings.model)
    work.effects.push({ type: 'set-model', model: record.model })
  if (record.permissionMode !== settings.permissionMode)
    work.effects.push({ type: 'set-permission-mode', mode: record.permissionMode })
  if (state.turn === null) runNext(work)
  // One that was cut off is sent when claude has said that it is there: not each of several tries shall tell that it runs.
  else if (state.status === 'running') sendPrompt(work)
  if (state.turn?.phase !== 'sent') work.effects.push({ type: 'initialize' })
}

export const launchFailed = (
  work: Work,
  { message, code = 'start_failed' }: Extract<Input, { type: 'launch.failed' }>,
): void => {
  withdrawApprovals(work, 'claude ended before it had an answer.', 'claude')
  work.state.process = 'none'
  if (work.state.status !== 'closed') failed(work, { code, message })
}

export const launchWaits = (work: Work, text: string): void => {
  if (work.state.process === 'starting') emit(work, { type: 'progress', kind: 'waiting_for_process', text })
}

/** Nobody misses the process of an idle session; the conversation is in its transcript. */
export const hibernate = (work: Work): void => {
  const { state } = work
  const rests =
    state.status === 'idle' && state.turn === null && state.queue.length === 0 && state.approvals.length === 0
  if (!rests || state.process !== 'ready') return
  state.process = 'stopping'
  work.effects.push({ type: 'stop', generation: state.generation })
}

export const suspend = (work: Work): void => {
  const { state } = work
  if (state.process !== 'starting' && !isReached(state)) return
  state.process = 'stopping'
  if (state.turn !== null) state.turn.phase = 'waiting'
  work.effects.push({ type: 'stop', generation: state.generation })
}

/**
 * claude hangs: it is ended and the turn resumed. It never is while somebody is asked something. A tool may work for long
 * without a word, so the caller waits longer for it.
 */
export const turnSilent = (work: Work, { turnId, forMs }: Extract<Input, { type: 'turn.silent' }>): void => {
  const { turn, approvals, process } = work.state
  if (process !== 'ready' || turn?.id !== turnId || turn.phase === 'waiting') return
  if (approvals.some(({ answer }) => answer === null)) return
  endProcess(work, {
    code: 'turn_silent',
    message: `claude said nothing for ${Math.round(forMs / 1000)} s in the middle of a turn and was ended.`,
  })
}

export const unresponsive = (work: Work, { forMs, lost }: Extract<Input, { type: 'unresponsive' }>): void => {
  const { state } = work
  if (state.process !== 'ready' || state.turn !== null || state.status === 'closed') return
  const message = `claude has given no sign of life for ${Math.round(forMs / 1000)} s`
  if (lost) endProcess(work, { code: 'process_unresponsive', message: `${message} and was ended.` })
  else emit(work, { type: 'progress', kind: 'unresponsive', text: `${message}.` })
}

export const stopIgnored = (work: Work, afterMs: number): void => {
  if (work.state.status === 'closed') return
  emit(work, {
    type: 'progress',
    kind: 'stop_ignored',
    text: `claude did not end within ${afterMs / 1000} s of being asked to, and was killed.`,
  })
}

/** Nobody waits for an idle session's process: it is missed with the next prompt. */
const failed = (work: Work, failure: Failure): void => {
  if (work.state.status === 'idle')
    emit(work, { type: 'progress', kind: 'process_ended', text: `${failure.message} The next prompt starts it again.` })
  else recover(work, failure)
}

/** It is ended, and its end is handled like any that comes before it was ready. */
export const startTimedOut = (work: Work, { afterMs }: Extract<Input, { type: 'start.timeout' }>): void => {
  const { state } = work
  if ((state.process !== 'starting' && state.process !== 'loading') || state.status === 'closed') return
  endProcess(work, { code: 'start_timeout', message: `claude was not ready after ${afterMs / 1000} s and was ended.` })
}

/** claude says itself when we are wrong about whether a conversation exists. Returns whether it did. */
const relearnConversation = (work: Work, stderr: string): boolean => {
  const { state } = work
  if (/already in use/i.test(stderr)) {
    state.resumable = true
    return true
  }
  if (!/no conversation found/i.test(stderr)) return false
  state.resumable = false
  state.claudeSessionId = work.context.newUuid()
  // It must not forget in silence what was talked about.
  if (state.turns > 0)
    emit(work, {
      type: 'progress',
      kind: 'conversation_lost',
      text: 'claude no longer has the conversation so far. The log here is complete, but claude starts anew.',
    })
  return true
}

const recover = (work: Work, failure: Failure): void => {
  const { state } = work
  emit(work, { type: 'error', code: failure.code, message: failure.message })
  // A replacement that fails too belongs to the same recovery.
  if (state.status === 'recovering') state.reason = failure.message
  else setStatus(work, 'error', failure.message)
  state.failures++
  if (state.turn?.interrupt === 'sent') state.turn.interrupt = 'wanted'
  const policy = policyOf(work)
  const action = failureActions[failure.code]
  const hopeless = action === 'close'
  if (action === 'wait') state.failures = Math.min(state.failures, policy.maxRetries)
  if (hopeless || state.failures > policy.maxRetries) {
    withdrawApprovals(work, 'The session was closed.')
    endTurns(work, 'error', failure.code)
    const tried = hopeless ? '' : ` It was started ${policy.maxRetries} more times in vain.`
    setStatus(work, 'closed', `${failure.message}${tried}`)
    work.effects.push({ type: 'report-closed', code: failure.code })
    return
  }
  setStatus(work, 'recovering', failure.message)
  launch(work, retryDelay(policy, state.failures, work.context.random()))
}

/** What the last server had decided but perhaps not done is done again: each of these is harmless the second time. */
export const adopted = (work: Work, alive: boolean): void => {
  const { state } = work
  if (state.status === 'closed') {
    if (alive) work.effects.push({ type: 'stop', generation: state.generation })
    else state.process = 'none'
    return
  }
  if (state.parkedUntil !== undefined) work.effects.push({ type: 'wake', at: state.parkedUntil })
  if (!alive) {
    // The last server died while it started it: no failure of claude's. As one it would use up a retry, and servers that are
    // killed over and over again would close the session.
    if (state.process === 'starting' || state.process === 'loading') launch(work, 0)
    else if (state.process !== 'none')
      exited(work, {
        type: 'process.exited',
        generation: state.generation,
        exit: { code: null, signal: null },
        stderr: '',
      })
    else if (state.status !== 'idle') launch(work, 0)
    else runNext(work)
    return
  }
  // The last server had asked it to end, or was about to.
  if (state.process === 'stopping') work.effects.push({ type: 'stop', generation: state.generation })
  // What it was started with the last server knew: what is set now is set again.
  if (state.process === 'starting') return launched(work, { settings: { model: null, permissionMode: 'default' } })
  if (!isReached(state)) return
  if (state.process === 'loading') work.effects.push({ type: 'initialize' })
  const { turn } = state
  if (turn !== null && turn.phase === 'sent')
    work.effects.push({ type: 'prompt', turnId: turn.id, promptId: turn.promptId })
  if (turn !== null && turn.interrupt === 'sent') work.effects.push({ type: 'interrupt' })
  for (const { approvalId, answer } of state.approvals)
    if (answer !== null) work.effects.push({ type: 'answer', approvalId })
  runNext(work)
}
