import { randomUUID } from 'node:crypto'
import type { Session } from '@aicm/protocol'
import { seeded } from '@aicm/testing/random'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { checkAgainstLog, checkExecutions, checkTurns, executions, type Accepted } from '../lib/check.ts'
import { judgeDeaths, watchDeaths, type DeathTimes } from '../lib/deaths.ts'
import { notedPrompt } from '../lib/prompts.ts'
import { followSession } from '../lib/reader.ts'
import { openServer } from '../lib/server.ts'
import { killPart, type Part } from '../lib/session-processes.ts'
import { createOnce, readLog, sendPrompt } from '../lib/traffic.ts'
import type { Problem, Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

const sessions = 4
/** Of the kills; the others come while a turn runs. */
const whenIdle = 0.15
const longestTurnMs = 200
/** From a kill until it is told and nothing of the tree is left. */
const limitMs = 1000

export const claudeKills: Trial = {
  name: 'claude-kills',
  title: 'kill -9 of claude, and of the sandbox’s outer and inner process',
  counts: { full: 200, quick: 30, test: 9 },
  limit: `idle again with its conversation, each prompt executed once; told and gone ≤ ${limitMs} ms each`,
  shortLimit: 'idle again with its conversation, each prompt executed once, each kill told',
  run: async (chaos, count) => {
    const problems: Problem[] = []
    const turnIds: string[] = []
    const times: DeathTimes = { toldMs: [], goneMs: [] }
    const killed = { claude: 0, outer: 0, inner: 0 }
    await using claude = await installFakeClaude(chaos.scope)
    await using server = await openServer(chaos, claude)
    await server.begin()
    const { isolation } = await server.insist<{ isolation: { level: string } }>('GET', '/v1/health')
    const parts: Part[] = ['sandbox', 'sealed'].includes(isolation.level)
      ? ['claude', 'outer', 'inner']
      : ['claude', 'outer']

    await inLanes(sessions, count, async (kills, lane) => {
      const random = seeded(chaos.seed + lane)
      const { id } = await createOnce(server)
      const deaths = watchDeaths(times)
      const reader = followSession({
        ...{ url: server.url, token: server.token(), sessionId: id },
        onMessage: deaths.told,
      })
      const accepted = new Map<string, Accepted>()
      for (let kill = 0; kill < kills;) {
        const { prompt, answer } = notedPrompt(random)
        const turnId = randomUUID()
        const { seq } = await sendPrompt(server, id, turnId, prompt)
        accepted.set(turnId, { seq, answer })
        const isDone = (): boolean =>
          reader.messages.some((message) => message.type === 'complete' && message.turnId === turnId)
        if (random() < whenIdle) await reader.until(`turn ${turnId} ends`, isDone)
        else await wait(random() * longestTurnMs)
        const part = parts[kill % parts.length] ?? 'claude'
        // Without its outer process claude may still have answered before it was ended too: then nothing runs.
        const death = await killPart(id, part, isDone)
        if (death !== undefined) {
          deaths.killed(death)
          killed[part] += 1
          kill += 1
        }
        await reader.until(`turn ${turnId} ends`, isDone)
      }
      await reader.until('each kill was told', deaths.settled)
      turnIds.push(...accepted.keys())
      const { status } = await server.insist<Session>('GET', `/v1/sessions/${id}`)
      if (status !== 'idle') problems.push({ kind: 'failed', what: `${id} is ${status}` })
      if (reader.messages.some((message) => message.type === 'progress' && message.kind === 'conversation_lost'))
        problems.push({ kind: 'lost', what: `${id}: the conversation` })
      await server.insist('POST', `/v1/sessions/${id}/close`)
      await reader.until('the session is closed', () =>
        reader.messages.some((message) => message.type === 'status' && message.status === 'closed'),
      )
      reader.stop()
      problems.push(...reader.problems, ...checkTurns(reader.messages, accepted))
      problems.push(...checkAgainstLog(reader.messages, await readLog(server, id)))
    })
    problems.push(...checkExecutions(executions(server.home()), turnIds, { anew: true }))
    await server.closeSessions()
    const judged = judgeDeaths(times, limitMs)
    // The short form shares the machine with other tests.
    if (chaos.size !== 'test') problems.push(...judged.problems)
    const figures = `${parts.map((part) => `${part} ${killed[part]}`).join(', ')}; ${judged.figures}`
    return { count: killed.claude + killed.outer + killed.inner, problems, figures }
  },
}
