import { randomUUID } from 'node:crypto'
import type { DownMessage, Session } from '@aicm/protocol'
import { seeded } from '@aicm/testing/random'
import { WebSocket } from 'ws'
import { installFakeClaude } from '../../bench/lib/fake-claude.ts'
import { residentMegabytes } from '../../bench/lib/process-figures.ts'
import { openServer, type MortalServer } from '../lib/server.ts'
import { createOnce, sendPrompt } from '../lib/traffic.ts'
import type { Problem, Trial } from '../lib/trial.ts'
import { inLanes, wait } from '../lib/wait.ts'

/** Handshakes that are under way at a time: one process is all these clients. */
const lanes = 200
/** As clients do it, so that they do not all come back in the same instant. */
const jitterMs = 2000
const patienceMs = 120_000

/** Follows a session from its beginning, and knows the turns that it was told the end of. */
type Follower = { told: Set<string>; socket: WebSocket | undefined }

const connect = (server: MortalServer, sessionId: string, follower: Follower): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws`, {
      headers: { authorization: `Bearer ${server.token()}` },
      perMessageDeflate: false,
    })
    follower.socket = socket
    socket.once('open', () => socket.send(JSON.stringify({ type: 'subscribe', ref: 'follow', sessionId })))
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as DownMessage
      if (message.type === 'subscribed') resolve()
      if (message.type !== 'events') return
      for (const item of message.items) if (item.type === 'complete') follower.told.add(item.turnId ?? '')
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server has closed it')))
  })

/** Tries again, as clients do, for as long as a person would wait. */
const connectAtLast = async (server: MortalServer, sessionId: string, follower: Follower): Promise<void> => {
  const deadline = performance.now() + patienceMs
  while (true) {
    try {
      return await connect(server, sessionId, follower)
    } catch (error) {
      if (performance.now() > deadline) throw error
      await wait(50)
    }
  }
}

export const manySockets: Trial = {
  name: 'many-sockets',
  title: 'WebSockets that follow one session, and all come again after a kill -9 of the server',
  counts: { full: 10_000, quick: 2000, test: 200 },
  limit: 'all connected, all told',
  run: async (chaos, count) => {
    const problems: Problem[] = []
    const random = seeded(chaos.seed)
    await using claude = await installFakeClaude(chaos.scope)
    await using server = await openServer(chaos, claude, ['--max-connections-per-address', String(2 * count)])
    await server.begin()
    const { id } = await createOnce(server)
    const followers = Array.from({ length: count }, (): Follower => ({ told: new Set(), socket: undefined }))

    const allConnect = async (spreadMs: number): Promise<number> => {
      const begun = performance.now()
      const order = [...followers]
      await inLanes(lanes, count, async (share) => {
        await wait(random() * spreadMs)
        for (let left = share; left > 0; left--) {
          const follower = order.pop()
          if (follower !== undefined) await connectAtLast(server, id, follower)
        }
      })
      return (performance.now() - begun) / 1000
    }

    const allAreTold = async (): Promise<void> => {
      const turnId = randomUUID()
      await sendPrompt(server, id, turnId, '@text(done)')
      const deadline = performance.now() + patienceMs
      while (followers.some(({ told }) => !told.has(turnId)) && performance.now() < deadline) await wait(20)
      const missing = followers.filter(({ told }) => !told.has(turnId)).length
      if (missing > 0) problems.push({ kind: 'lost', what: `${missing} of ${count} were not told the end of a turn` })
    }

    try {
      const first = await allConnect(0)
      await allAreTold()
      const megabytes = residentMegabytes(server.pid())
      await server.kill()
      await (
        await server.start()
      ).ready
      const again = await allConnect(jitterMs)
      await allAreTold()
      const { status } = await server.call<Session>('GET', `/v1/sessions/${id}`)
      if (status !== 'idle') problems.push({ kind: 'failed', what: `the session is ${status}` })
      return {
        count,
        problems,
        figures: `connected in ${first.toFixed(1)} s, again in ${again.toFixed(1)} s; RSS ${Math.round(megabytes)} MB`,
      }
    } finally {
      for (const { socket } of followers) socket?.terminate()
      await server.closeSessions()
    }
  },
}
