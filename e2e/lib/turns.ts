import type { Client, SessionHandle } from '@aicm/client'
import type { ApprovalMessage, Message, StreamItem } from '@aicm/protocol'
import { expect } from 'vitest'

/** Takes items until `last` is true for one, which is taken too. */
export const collect = async (
  items: AsyncIterable<StreamItem>,
  last: (item: StreamItem) => boolean = () => false,
): Promise<StreamItem[]> => {
  const taken: StreamItem[] = []
  for await (const item of items) {
    taken.push(item)
    if (last(item)) break
  }
  return taken
}

export const isComplete = (item: StreamItem): boolean => item.type === 'complete'

export const messagesOf = (items: StreamItem[]): Message[] => items.filter((item) => item.type !== 'delta')

/** The answer's stored text. */
export const storedText = (items: StreamItem[]): string =>
  items.map((item) => (item.type === 'text' ? item.text : '')).join('')

/** The answer as somebody saw it grow. Fails where a delta does not lie exactly behind the one before it. */
export const grownText = (items: StreamItem[]): string => {
  const blocks = new Map<string, string>()
  for (const item of items) {
    if (item.type !== 'delta' || item.kind !== 'text') continue
    const before = blocks.get(item.block) ?? ''
    expect(item.at).toBe(before.length)
    blocks.set(item.block, before + item.text)
  }
  return [...blocks.values()].join('')
}

/** The same text; when not, it is told where they part instead of both in full. */
export const expectSame = (text: string, expected: string): void => {
  if (text === expected) return
  let at = 0
  while (text[at] === expected[at]) at += 1
  const around = (whole: string) =>
    `${whole.length} characters, from ${at} on: ${JSON.stringify(whole.slice(at, at + 60))}`
  expect(around(text)).toBe(around(expected))
}

/** The log begins at 1 and has no gap. */
export const expectGapless = (items: StreamItem[]): void =>
  expect(messagesOf(items).map(({ seq }) => seq)).toEqual(messagesOf(items).map((_, index) => index + 1))

/** The whole log, as it is stored now. */
export const logOf = async (client: Client, sessionId: string): Promise<Message[]> => {
  const { lastSeq } = await client.sessions.get(sessionId)
  return messagesOf(
    await collect(client.session(sessionId).events(), (item) => item.type !== 'delta' && item.seq === lastSeq),
  )
}

/** Waits for the first item of the log that is wanted. */
export const firstItem = async (
  session: SessionHandle,
  wanted: (item: StreamItem) => boolean,
  after = 0,
): Promise<StreamItem> => {
  for await (const item of session.events({ after })) if (wanted(item)) return item
  throw new Error('the stream has ended')
}

/** Waits for a permission request of the session that comes after `after` and is still open. */
export const pendingApproval = async (session: SessionHandle, after = 0): Promise<ApprovalMessage> => {
  const answered = new Set<string>()
  for await (const item of session.events({ after })) {
    if (item.type !== 'approval') continue
    if (item.state === 'pending' && !answered.has(item.approvalId)) return item
    answered.add(item.approvalId)
  }
  throw new Error('the stream has ended')
}
