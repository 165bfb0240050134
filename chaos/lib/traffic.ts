import { randomUUID } from 'node:crypto'
import type { Accepted as Answer, Message, Session } from '@aicm/protocol'
import { randomPrompt } from './prompts.ts'
import { checkAgainstLog, checkExecutions, checkTurns, executions, type Accepted } from './check.ts'
import { followSession, type Reader } from './reader.ts'
import { Refused, type MortalServer } from './server.ts'
import type { Problem } from './trial.ts'
import { wait } from './wait.ts'

/** Sessions that are prompted and followed all the while, whatever becomes of the server. */
export type Traffic = {
  /** Prompts that were acknowledged so far. */
  accepted(): number
  /** Lets the turns end that were begun, and says all that is wrong with what was told, acknowledged and stored. */
  finish(): Promise<Problem[]>
}

/** Prompts of a session that wait or run at a time. */
const atOnce = 3
/** Then a new session takes its place, and it is closed. */
const turnsOfSession = 25
const retryMs = 15

export const readLog = async (server: MortalServer, sessionId: string): Promise<Message[]> => {
  const log: Message[] = []
  while (true) {
    const page: { events: Message[]; nextAfter: number; lastSeq: number } = await server.insist(
      'GET',
      `/v1/sessions/${sessionId}/events?limit=10000&after=${log.at(-1)?.seq ?? 0}`,
    )
    log.push(...page.events)
    if (page.events.length === 0 || page.nextAfter >= page.lastSeq) return log
  }
}

/** A new session, once: whether the server that was killed meanwhile had made it is looked up by its name. */
export const createOnce = async (server: MortalServer, more: { permissionMode?: string } = {}): Promise<Session> => {
  const name = `chaos-${randomUUID()}`
  while (true) {
    try {
      return await server.call<Session>('POST', '/v1/sessions', { name, ...more })
    } catch (error) {
      if (error instanceof Refused && error.status < 500) throw error
      const { sessions } = await server.insist<{ sessions: Session[] }>('GET', `/v1/sessions?text=${name}`)
      if (sessions[0] !== undefined) return sessions[0]
      await wait(retryMs)
    }
  }
}

/** Sends a prompt, again and again with the same id, until it is acknowledged. */
export const sendPrompt = (server: MortalServer, sessionId: string, id: string, prompt: string): Promise<Answer> =>
  server.insist('POST', `/v1/sessions/${sessionId}/execute`, { id, prompt })

export const startTraffic = (
  server: MortalServer,
  options: {
    sessions: number
    random: () => number
    /** Where readers connect. */
    readFrom?: string
  },
): Traffic => {
  const { random, readFrom = server.url } = options
  const problems: Problem[] = []
  const turnIds: string[] = []
  let stopped = false

  const isDone = (reader: Reader, turnId: string): boolean =>
    reader.messages.some((message) => message.type === 'complete' && message.turnId === turnId)

  const runSession = async (): Promise<void> => {
    const { id } = await createOnce(server)
    const reader = followSession({ url: readFrom, token: server.token(), sessionId: id })
    const accepted = new Map<string, Accepted>()
    const open = (): string[] => [...accepted.keys()].filter((turnId) => !isDone(reader, turnId))
    try {
      for (let turn = 0; turn < turnsOfSession && !stopped; turn++) {
        const { prompt, answer } = randomPrompt(random)
        const turnId = randomUUID()
        const { seq } = await sendPrompt(server, id, turnId, prompt)
        accepted.set(turnId, { seq, answer })
        turnIds.push(turnId)
        await reader.until('a turn ends', () => open().length < atOnce)
      }
      await reader.until('all turns end', () => open().length === 0)
      await server.insist('POST', `/v1/sessions/${id}/close`)
      await reader.until('the session is closed', () =>
        reader.messages.some((message) => message.type === 'status' && message.status === 'closed'),
      )
    } catch (error) {
      const { status, process, generation, reason } = await server.insist<Session>('GET', `/v1/sessions/${id}`)
      const now = `${id} is ${status} (${reason}), its process ${generation} ${process}`
      problems.push({ kind: 'failed', what: `${error instanceof Error ? error.message : error}; ${now}` })
      for (const turnId of open()) problems.push({ kind: 'lost', what: `${id}: the end of ${turnId}` })
    } finally {
      reader.stop()
    }
    problems.push(...reader.problems, ...checkTurns(reader.messages, accepted))
    problems.push(...checkAgainstLog(reader.messages, await readLog(server, id)))
  }

  const lanes = Array.from({ length: options.sessions }, async () => {
    while (!stopped) await runSession()
  })

  return {
    accepted: () => turnIds.length,
    finish: async () => {
      stopped = true
      for (const result of await Promise.allSettled(lanes))
        if (result.status === 'rejected') problems.push({ kind: 'failed', what: String(result.reason) })
      return [...problems, ...checkExecutions(executions(server.home()), turnIds, { anew: false })]
    },
  }
}
