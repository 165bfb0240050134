import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Message } from '@aicm/protocol'
import type { Problem } from './trial.ts'

/** A prompt that was acknowledged: where the log was said to have it, and what claude answers to it, a text for each block. */
export type Accepted = {
  seq: number
  answer: readonly string[]
  /**
   * It was killed meanwhile, and may say again what it had said but not noted. Where a tool ran the turn may end there, with
   * the reason.
   */
  claudeKilled?: boolean
}

const times = <T>(values: Iterable<T>): Map<T, number> => {
  const counted = new Map<T, number>()
  for (const value of values) counted.set(value, (counted.get(value) ?? 0) + 1)
  return counted
}

const brief = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}… (${text.length} characters)` : text)

/** What is missing in `actual`, what is too much, and whether the rest comes in the same order. */
const differences = (what: string, actual: readonly string[], expected: readonly string[]): Problem[] => {
  if (actual.length === expected.length && actual.every((text, at) => text === expected[at])) return []
  const [had, wanted] = [times(actual), times(expected)]
  const problems: Problem[] = []
  for (const [text, count] of wanted)
    for (let at = had.get(text) ?? 0; at < count; at++) problems.push({ kind: 'lost', what: `${what}: ${brief(text)}` })
  for (const [text, count] of had)
    for (let at = wanted.get(text) ?? 0; at < count; at++)
      problems.push({ kind: 'doubled', what: `${what}: ${brief(text)}` })
  return problems.length > 0 ? problems : [{ kind: 'disordered', what }]
}

/**
 * Whether a session's messages hold each acknowledged prompt once, with one end and the whole answer, in order. A turn that was
 * continued after claude had been killed holds the answer up to there.
 */
export const checkTurns = (messages: readonly Message[], accepted: ReadonlyMap<string, Accepted>): Problem[] => {
  const problems: Problem[] = []
  const turnsOf = (type: Message['type']): string[] =>
    messages.flatMap((message) => (message.type === type ? [message.turnId ?? ''] : []))
  problems.push(...differences('the ends of the turns', turnsOf('complete'), turnsOf('prompt')))
  for (const [turnId, { seq, answer, claudeKilled = false }] of accepted) {
    const turn = messages.filter((message) => message.turnId === turnId)
    const prompts = turn.filter(({ type }) => type === 'prompt')
    problems.push(
      ...differences(
        'an acknowledged prompt',
        prompts.map(() => turnId),
        [turnId],
      ),
    )
    if (prompts[0] !== undefined && prompts[0].seq !== seq)
      problems.push({ kind: 'disordered', what: `the prompt ${turnId} is message ${prompts[0].seq}, not ${seq}` })
    const isCutOff = (message: Message): boolean =>
      claudeKilled && message.type === 'complete' && message.reason === 'turn_cut_off'
    for (const message of turn)
      if (message.type === 'complete' && message.result !== 'success' && !isCutOff(message))
        problems.push({ kind: 'failed', what: `the turn ${turnId} ended as ${message.result}: ${message.reason}` })
    // What a killed claude had begun stays in the log, marked.
    const texts = turn.flatMap((message) => (message.type === 'text' && message.partial !== true ? [message.text] : []))
    const continued = turn.some((message) => message.type === 'progress' && message.kind === 'continued')
    const ended = continued || turn.some(isCutOff)
    // Its last text is then the answer to being asked to go on.
    const all = continued ? texts.slice(0, -1) : texts
    const anew = claudeKilled ? all.lastIndexOf(answer[0] ?? '') : 0
    const said = all.slice(Math.max(0, anew))
    problems.push(...differences(`the answer of ${turnId}`, said, ended ? answer.slice(0, said.length) : answer))
  }
  return problems
}

/** Whether somebody was told exactly what is in the log. */
export const checkAgainstLog = (told: readonly Message[], log: readonly Message[]): Problem[] =>
  differences(
    'what was told, beside the log',
    told.map((message) => JSON.stringify(message)),
    log.map((message) => JSON.stringify(message)),
  )

/** What the stand-in for claude has noted of the prompts it was given, in all its processes. */
export const executions = (home: string): Map<string, string[]> => {
  const folder = join(home, '.claude', 'fake-claude')
  const states = new Map<string, string[]>()
  // Not there where every process was killed before it was given a prompt.
  for (const name of existsSync(folder) ? readdirSync(folder) : [])
    for (const line of readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean)) {
      const { prompt, state } = JSON.parse(line) as { prompt?: string; state?: string }
      if (prompt !== undefined && state !== undefined) states.set(prompt, [...(states.get(prompt) ?? []), state])
    }
  return states
}

/**
 * Whether each prompt was executed once: begun, and never again after claude had said or done something for it. `anew` allows
 * what claude itself does with a prompt that it had not answered at all when it was killed: it runs it from its beginning.
 */
export const checkExecutions = (
  noted: ReadonlyMap<string, readonly string[]>,
  turnIds: Iterable<string>,
  { anew }: { anew: boolean },
): Problem[] => {
  const problems: Problem[] = []
  for (const turnId of turnIds) {
    const states = noted.get(turnId) ?? []
    const lastStart = states.lastIndexOf('started')
    if (lastStart < 0) problems.push({ kind: 'lost', what: `the prompt ${turnId} was never executed` })
    else if (states.slice(0, lastStart).some((state) => state !== 'started' || !anew))
      problems.push({ kind: 'doubled', what: `the prompt ${turnId} was executed again: ${states.join(', ')}` })
  }
  return problems
}
