import { toolResultText, type Client } from '@aicm/client'
import type { Message } from '@aicm/protocol'

/** Runs shell commands where a session's tools run: through the real CLI, each allowed by its user. */
export type Inside = { sessionId: string; run(command: string): Promise<string> }

/** In a prompt for the scripted API brackets must be balanced, or escaped. */
const escaped = (command: string): string => command.replaceAll(/[()]/g, '\\$&')

export const openInside = async (client: Client, workspaceId?: string): Promise<Inside & AsyncDisposable> => {
  const { id } = await client.sessions.create(workspaceId === undefined ? {} : { workspaceId })
  const session = client.session(id)
  return {
    sessionId: id,
    run: async (command) => {
      const { lastSeq } = await client.sessions.get(id)
      // What only looks is not asked about, what writes is.
      const turn = session.execute(`@bash(touch asked; ${escaped(command)})`)
      let result: Message | undefined
      for await (const item of session.events({ after: lastSeq })) {
        if (item.type === 'approval' && item.state === 'pending')
          await client.approvals.answer(item.approvalId, { decision: 'allow' })
        if (item.type === 'tool_result') result = item
        if (item.type === 'complete') break
      }
      await turn.complete()
      return result?.type === 'tool_result' ? toolResultText(result.content) : ''
    },
    [Symbol.asyncDispose]: () => client.sessions.delete(id),
  }
}
