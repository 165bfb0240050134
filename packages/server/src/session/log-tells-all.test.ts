import type { Message, Usage } from '@aicm/protocol'
import { seeded } from '@aicm/testing/random'
import { newTurnId, openSessionNode } from '@aicm/testing/session-node'
import { until } from '@aicm/testing/until'
import { expect, test } from 'vitest'
import type { SessionRecord } from '../storage/session-store.ts'

/** What clients see of a session, as the stored record has it. */
const visible = ({ state, lastSeq }: SessionRecord) => ({
  ...{ lastSeq, status: state.status, reason: state.reason, usage: state.usage },
  open: [...(state.turn === null ? [] : [state.turn.id]), ...state.queue],
  asked: state.approvals.filter(({ answer }) => answer === null).map(({ approvalId }) => approvalId),
})

/** The same, from nothing but the log. */
const rebuilt = (log: Message[]): ReturnType<typeof visible> => {
  const usage: Usage = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
  const open = new Set<string>()
  const asked = new Set<string>()
  let status: ReturnType<typeof visible>['status'] = 'creating'
  let reason: string | null = null
  for (const message of log) {
    if (message.type === 'status') {
      status = message.status
      reason = ['error', 'recovering', 'closed'].includes(status) ? (message.reason ?? reason) : null
    }
    if (message.type === 'prompt') open.add(message.turnId ?? '')
    if (message.type === 'complete') {
      open.delete(message.turnId ?? '')
      for (const key of Object.keys(usage) as (keyof Usage)[]) usage[key] += message.usage?.[key] ?? 0
    }
    if (message.type === 'approval' && message.state === 'pending') asked.add(message.approvalId)
    if (message.type === 'approval' && message.state !== 'pending') asked.delete(message.approvalId)
  }
  return { lastSeq: log.at(-1)?.seq ?? 0, status, reason, usage, open: [...open], asked: [...asked] }
}

const prompts = [
  '@text(a)',
  '@tokens(200)',
  '@tokens(20,2)',
  '@error(529)',
  '@tool(Bash,{}) @text(b)',
  '@tokens(20) @crash-once(SIGKILL)',
  '@tokens(3) @tool(Bash,{}) @crash-once(1)',
  '@think(5) @text(c)',
]

for (const seed of [1, 2, 3])
  test(`what clients see of a session can be rebuilt from its log, through crashes and new servers (${seed})`, async () => {
    const random = seeded(seed)
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
    await using node = await openSessionNode()
    let server = node.serve()
    let session = await server.create()
    const { id } = session.record()
    /** Between two events of its own the session is as it is stored. */
    const compare = async (): Promise<void> => {
      const { record, log } = await until('nothing moves while it is read', async () => {
        const before = session.record()
        const read = await node.log(id)
        return before.lastSeq === read.length && session.record() === before && { record: before, log: read }
      })
      expect(rebuilt(log)).toEqual(visible(record))
    }

    for (let round = 0; round < 12; round++) {
      const content = [{ type: 'text' as const, text: pick(prompts) }]
      await session.execute({ turnId: newTurnId(), content, userId: 'me' })
      await compare()
      if (random() < 0.3) await session.interrupt().catch(() => undefined)
      if (random() < 0.3) {
        await server.registry.release()
        server = node.serve()
        await server.registry.restore()
        session = await server.registry.get(id)
        await compare()
      }
      const isLast = round === 11
      await until('it is idle, or waits for an answer', async () => {
        const { state } = session.record()
        const asked = state.approvals.filter(({ answer }) => answer === null)
        for (const { approvalId } of asked) {
          await compare()
          const decision = pick([{ decision: 'allow' }, { decision: 'deny' }] as const)
          await session.answer({ approvalId, decision, userId: 'me' }).catch(() => undefined)
        }
        return state.status === 'idle' || (!isLast && random() < 0.1)
      })
      await compare()
    }
    await session.close('enough')
    await compare()
    expect(session.record().state.status).toBe('closed')
  })
