import type { Delta, Message, PromptMessage, SessionStatus, StreamItem } from '@aicm/protocol'

type Shown = {
  /** The same from the first character of a block to its end and after: a key for lists. */
  key: string
  /** What there is to read: of a tool call its input as JSON, so far. */
  text: string
}

/** A block that is still growing, or was when its turn ended. */
export type OpenBlock = Shown & {
  kind: Delta['kind']
  state: 'open' | 'partial'
  message: undefined
  block: string
  turnId: string | undefined
  parentToolUseId: string | undefined
  /** The tool, for kind tool_use. */
  name: string | undefined
}

type Settled<M extends Message> = M extends Message
  ? Shown & { kind: M['type']; state: 'done' | 'partial'; message: M }
  : never

/** A stored message: `kind` tells which, `message` is all of it. */
export type SettledBlock = Settled<Message>

/** `message` is there when it is stored: `if (block.message === undefined)` it is an `OpenBlock`. */
export type TranscriptBlock = OpenBlock | SettledBlock

/**
 * A conversation as it is shown: the stored messages in the order of the log, then what is still growing, so that it
 * looks the same to who watched it and to who opens it later. A later state of an approval replaces the earlier one in
 * its place. While text streams, `settled` stays the same array.
 */
export type Transcript = {
  readonly settled: readonly SettledBlock[]
  readonly open: readonly OpenBlock[]
  /** The last stored message that is in. */
  readonly seq: number
  readonly status: SessionStatus | undefined
  readonly statusReason: string | undefined
  /** The model that `claude` last said it uses. */
  readonly model: string | undefined
  /** Turns without a `complete`, in order: the first is the one that runs, the others wait. */
  readonly openTurns: readonly string[]
}

export const emptyTranscript: Transcript = {
  settled: [],
  open: [],
  seq: 0,
  status: undefined,
  statusReason: undefined,
  model: undefined,
  openTurns: [],
}

/** All blocks in the order in which they are shown. */
export const blocksOf = ({ settled, open }: Transcript): TranscriptBlock[] => [...settled, ...open]

/** The transcript with one more item. What is in already, and what does not fit, gives the same transcript back. */
export const applyItem = (transcript: Transcript, item: StreamItem): Transcript => applyItems(transcript, [item])

/** Many at once: one copy of `settled` instead of one for each. */
export const applyItems = (transcript: Transcript, items: Iterable<StreamItem>): Transcript => {
  let result = transcript
  let settled: SettledBlock[] | undefined
  for (const item of items) {
    if (item.type === 'delta') result = applyDelta(result, item)
    else if (item.seq > result.seq) {
      settled ??= [...transcript.settled]
      insert(settled, item)
      result = { ...applyState(result, item), settled, open: openAfter(result.open, item), seq: item.seq }
    }
  }
  return result
}

const applyDelta = (transcript: Transcript, delta: Delta): Transcript => {
  const { open, settled } = transcript
  const index = open.findIndex(({ block }) => block === delta.block)
  const before = open[index]
  const length = before?.text.length ?? 0
  if (delta.at > length) return transcript
  if (before !== undefined) {
    if (delta.at + delta.text.length <= length) return transcript
    return { ...transcript, open: open.with(index, { ...before, text: before.text.slice(0, delta.at) + delta.text }) }
  }
  const key = keyOfBlock(delta.block)
  // Looked for once a block, when it begins: a repeated delta must not open again what has ended.
  if (settled.findLastIndex((block) => block.key === key) !== -1) return transcript
  const { kind, block, turnId, parentToolUseId, name, text } = delta
  const begun: OpenBlock = { key, kind, state: 'open', text, message: undefined, block, turnId, parentToolUseId, name }
  return { ...transcript, open: [...open, begun] }
}

const insert = (settled: SettledBlock[], message: Message) => {
  const block = settle(message)
  const earlier = message.type === 'approval' ? settled.findLastIndex(({ key }) => key === block.key) : -1
  if (earlier === -1) settled.push(block)
  else settled[earlier] = block
}

const openAfter = (open: readonly OpenBlock[], message: Message): readonly OpenBlock[] => {
  if (open.length === 0) return open
  if ('block' in message) return open.filter(({ block }) => block !== message.block)
  if (message.type !== 'complete') return open
  // The turn has ended: what of it was still growing will grow no more.
  return open.map((block) => (block.turnId === message.turnId ? { ...block, state: 'partial' } : block))
}

const applyState = (transcript: Transcript, message: Message): Transcript => {
  const { openTurns } = transcript
  const { turnId } = message
  switch (message.type) {
    case 'status':
      return { ...transcript, status: message.status, statusReason: message.reason }
    case 'metadata':
      return { ...transcript, model: message.model ?? transcript.model }
    case 'prompt':
      return turnId === undefined ? transcript : { ...transcript, openTurns: [...openTurns, turnId] }
    case 'complete':
      return { ...transcript, openTurns: openTurns.filter((turn) => turn !== turnId) }
    default:
      return transcript
  }
}

const settle = (message: Message): SettledBlock => {
  const state = 'partial' in message && message.partial === true ? 'partial' : 'done'
  // Kind and message are of one type; the compiler cannot see it of a union.
  return { key: keyOf(message), kind: message.type, state, text: textOf(message), message } as SettledBlock
}

const keyOfBlock = (block: string): string => `block:${block}`

const keyOf = (message: Message): string => {
  if ('block' in message) return keyOfBlock(message.block)
  return message.type === 'approval' ? `approval:${message.approvalId}` : `seq:${message.seq}`
}

const textOf = (message: Message): string => {
  switch (message.type) {
    case 'text':
    case 'thinking':
    case 'progress':
      return message.text
    case 'prompt':
      return promptText(message.content)
    case 'tool_use':
    case 'approval':
      return jsonText(message.input)
    case 'tool_result':
      return toolResultText(message.content)
    case 'error':
      return message.message
    case 'complete':
      return message.text ?? ''
    case 'status':
      return message.reason ?? message.status
    default:
      return ''
  }
}

const jsonText = (input: unknown): string => (typeof input === 'string' ? input : (JSON.stringify(input) ?? ''))

const promptText = (content: PromptMessage['content']): string =>
  content.map((block) => (block.type === 'text' ? block.text : `[${block.source.media_type}]`)).join('\n')

/** What a tool answered, as text: tools give a string, or blocks of which some are text. */
export const toolResultText = (content: unknown): string => {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return content === undefined || content === null ? '' : jsonText(content)
  return content
    .map((block: unknown) => {
      if (typeof block !== 'object' || block === null) return String(block)
      if ('text' in block && typeof block.text === 'string') return block.text
      return 'type' in block ? `[${String(block.type)}]` : jsonText(block)
    })
    .join('\n')
}
