import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { tokensText } from '@aicm/broker'
import type { Message, Workspace } from '@aicm/protocol'
import { seeded } from '@aicm/testing/random'
import { until } from '@aicm/testing/until'
import { realClaude } from '../../bench/lib/programs.ts'
import { checkAgainstLog, checkTurns, type Accepted } from '../lib/check.ts'
import { followSession } from '../lib/reader.ts'
import { openServer, Refused, type MortalServer } from '../lib/server.ts'
import { killPart } from '../lib/session-processes.ts'
import { createOnce, readLog, sendPrompt } from '../lib/traffic.ts'
import type { Chaos, Problem, Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

const servers = 2
const tokens = 40
/** A turn asks the API once more after each tool. */
const callsOfTurn = 3
const instants = ['before', 'during', 'after'] as const
const victims = ['server', 'claude'] as const

const linesOf = (path: string): string[] =>
  existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : []

/** Calls to the model that the broker has passed on for a session and that came to their end. */
const apiCalls = (server: MortalServer, sessionId: string): number =>
  linesOf(join(server.dataDir, 'broker', 'broker.log')).filter((line) => {
    const { path, end, ...entry } = JSON.parse(line) as { sessionId?: string; path?: string; end?: string }
    return entry.sessionId === sessionId && path === '/v1/messages' && end === 'complete'
  }).length

const killInLane = async (
  chaos: Chaos,
  kills: number,
  lane: number,
): Promise<{ problems: Problem[]; recoveryMs: number[]; calls: number }> => {
  const random = seeded(chaos.seed + lane)
  // One of them for each server: how often a claude that is killed asks the API again is its own affair.
  const victim = victims[lane % victims.length]
  const problems: Problem[] = []
  const recoveryMs: number[] = []
  await using server = await openServer(chaos, realClaude())
  await server.begin()
  const { id, workspaceId } = await createOnce(server)
  const { path: folder } = await server.insist<Workspace>('GET', `/v1/workspaces/${workspaceId}`)
  const runs = join(folder, 'runs.txt')

  /** While it holds, nobody answers permission requests. */
  let hold = Promise.resolve()
  const approve = async (approvalId: string): Promise<void> => {
    await hold
    try {
      await server.insist('POST', `/v1/approvals/${approvalId}`, { decision: 'allow' })
    } catch (error) {
      // Answered by a request whose answer was lost, or withdrawn.
      if (!(error instanceof Refused) || error.status !== 409)
        problems.push({ kind: 'failed', what: `${approvalId} could not be answered: ${error}` })
    }
  }
  const reader = followSession({
    url: server.url,
    token: server.token(),
    sessionId: id,
    onMessage: (message) => {
      if (message.type === 'approval' && message.state === 'pending') void approve(message.approvalId)
    },
  })
  const accepted = new Map<string, Accepted>()

  for (let kill = 0; kill < kills; kill++) {
    const instant = instants[kill % instants.length]
    const turnId = randomUUID()
    const turn = (): Message[] => reader.messages.filter((message) => message.turnId === turnId)
    const has = (type: Message['type']) => (): boolean => turn().some((message) => message.type === type)
    const written = (): number => linesOf(runs).filter((line) => line === turnId).length
    const calls = apiCalls(server, id)
    const held = Promise.withResolvers<void>()
    if (instant === 'before') hold = held.promise

    const prompt = `@text(Turn ${kill}. ) @bash(echo ${turnId} >> runs.txt; sleep 0.3) @write(${turnId}|once) @tokens(${tokens},5)`
    const { seq } = await sendPrompt(server, id, turnId, prompt)
    accepted.set(turnId, { seq, answer: [`Turn ${kill}. `, tokensText(tokens)], claudeKilled: victim === 'claude' })
    if (instant === 'before') await wait(random() * 300)
    else if (instant === 'during') await until('the tool runs', () => written() > 0)
    else await reader.until('the tool has run', has('tool_result'))
    if (instant !== 'before') await wait(random() * 150)

    if (victim === 'claude') await killPart(id, 'claude')
    else {
      await server.kill()
      held.resolve()
      const { ready } = await server.start()
      recoveryMs.push(await ready)
    }
    held.resolve()
    await reader.until(`turn ${turnId} ends`, has('complete'))

    const once = { command: written(), file: existsSync(join(folder, turnId)) ? 1 : 0 }
    if (once.command > 1) problems.push({ kind: 'doubled', what: `the command of ${turnId} ran ${once.command} times` })
    // A claude that was killed may have been asked to go on, without the rest of the script, or not even that.
    const ended = turn().some(
      (message) =>
        (message.type === 'progress' && message.kind === 'continued') ||
        (message.type === 'complete' && message.reason === 'turn_cut_off'),
    )
    if (!ended && (once.command === 0 || once.file === 0))
      problems.push({ kind: 'lost', what: `a tool of ${turnId} did not run` })
    if (victim === 'server') {
      await until('its last call has ended', () => apiCalls(server, id) >= calls + callsOfTurn)
      const made = apiCalls(server, id) - calls
      if (made !== callsOfTurn) problems.push({ kind: 'doubled', what: `${made} calls to the API in ${turnId}` })
    }
  }
  problems.push(...reader.problems, ...checkTurns(reader.messages, accepted))
  const log = await readLog(server, id)
  problems.push(...checkAgainstLog(reader.messages, log.slice(0, reader.messages.length)))
  reader.stop()
  const calls = apiCalls(server, id)
  await server.closeSessions()
  return { problems, recoveryMs, calls }
}

export const realCliKills: Trial = {
  name: 'real-cli-kills',
  title: 'the real CLI: the server and claude killed before, during and after tool calls',
  counts: { full: 60, quick: 12, test: 6 },
  limit: 'each turn finished, each tool run once',
  run: async (chaos, count) => {
    const lanes: Awaited<ReturnType<typeof killInLane>>[] = []
    await inLanes(servers, count, async (kills, lane) => void lanes.push(await killInLane(chaos, kills, lane)))
    const calls = lanes.reduce((sum, lane) => sum + lane.calls, 0)
    return {
      count,
      problems: lanes.flatMap((lane) => lane.problems),
      recoveryMs: lanes.flatMap((lane) => lane.recoveryMs),
      figures: `${calls} calls to the API`,
    }
  },
}
