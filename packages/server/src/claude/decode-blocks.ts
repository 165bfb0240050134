import type { AgentOutput, BlockDelta, Draft } from './output.ts'
import { fields, list, number, text, type Fields } from './wire.ts'

type OpenBlock = Omit<BlockDelta, 'at' | 'text'> & { messageId: string; index: number; shown: string }

const kindOf = (contentType: string | undefined): BlockDelta['kind'] | undefined => {
  if (contentType === 'text') return 'text'
  if (contentType === 'thinking') return 'thinking'
  if (contentType === 'tool_use' || contentType === 'server_tool_use' || contentType === 'mcp_tool_use')
    return 'tool_use'
  return undefined
}

const nothing: AgentOutput[] = []

const deltaText = (delta: Fields): string | undefined =>
  text(delta['text']) ?? text(delta['thinking']) ?? text(delta['partial_json'])

/**
 * Follows the content blocks that stream, each message of the model and of each sub-agent beside the others. A block is
 * named by generation and journal offset of the line that opened it: the same however often the journal is read.
 */
export const createBlocks = (generation: number) => {
  let open: OpenBlock[] = []
  let grownLast: OpenBlock | undefined

  const find = (line: Fields, event: Fields): OpenBlock | undefined => {
    const parent = text(line['parent_tool_use_id'])
    return open.find(
      (block) =>
        block.index === number(event['index']) &&
        block.parentToolUseId === parent &&
        block.messageId === (text(line['api_message_id']) ?? block.messageId),
    )
  }

  const started = (line: Fields, event: Fields, offset: number): AgentOutput[] => {
    const content = fields(event['content_block'])
    const kind = kindOf(text(content['type']))
    if (kind === undefined) return []
    const block: OpenBlock = {
      block: `${generation}.${offset}`,
      kind,
      shown: '',
      messageId: text(line['api_message_id']) ?? '',
      index: number(event['index']) ?? 0,
      name: text(content['name']),
      toolUseId: text(content['id']),
      parentToolUseId: text(line['parent_tool_use_id']),
    }
    open.push(block)
    const first = deltaText(content) ?? ''
    return first === '' && kind !== 'tool_use' ? [] : [grow(block, first)]
  }

  const grow = (block: OpenBlock, more: string): AgentOutput => {
    const { block: id, kind, name, toolUseId, parentToolUseId, shown } = block
    block.shown += more
    return { kind: 'delta', delta: { block: id, kind, name, toolUseId, parentToolUseId, at: shown.length, text: more } }
  }

  /** A whole block has arrived: the one that was open for it is the oldest of its kind in its message. */
  const take = (messageId: string, kind: BlockDelta['kind'], parent: string | undefined, toolUseId?: string) => {
    const at = open.findIndex(
      (block) =>
        block.kind === kind &&
        block.parentToolUseId === parent &&
        (block.messageId === messageId || block.messageId === '') &&
        (toolUseId === undefined || block.toolUseId === toolUseId),
    )
    return at < 0 ? undefined : open.splice(at, 1)[0]
  }

  /** The connection to the API broke: claude says which blocks it begins anew. What was shown of them comes before the retry. */
  const abandoned = (line: Fields): AgentOutput[] => {
    const given = fields(line['abandoned_blocks'])
    const messageId = text(given['api_message_id'])
    const from = number(given['from_block_index'])
    if (messageId === undefined || from === undefined) return []
    return cut((block) => block.messageId === messageId && block.index >= from)
  }

  const cut = (isCut: (block: OpenBlock) => boolean): AgentOutput[] => {
    const shown = open.filter((block) => isCut(block) && block.shown !== '')
    open = open.filter((block) => !isCut(block))
    return shown.map((block) => ({ kind: 'message', draft: partialDraft(block) }))
  }

  return {
    stream: (line: Fields, offset: number): AgentOutput[] => {
      const event = fields(line['event'])
      if (event['type'] === 'content_block_start') return started(line, event, offset)
      if (event['type'] === 'message_stop') return abandoned(line)
      if (event['type'] !== 'content_block_delta') return []
      const more = deltaText(fields(event['delta']))
      const block = more === undefined ? undefined : find(line, event)
      grownLast = block
      return block === undefined || more === undefined || more === '' ? [] : [grow(block, more)]
    },

    /** The same line as the last one, with other text. Undefined when that was no line of a block that is still open. */
    again: (more: string, last?: BlockDelta): AgentOutput[] | undefined => {
      if (grownLast === undefined || !open.includes(grownLast)) return undefined
      if (more === '') return nothing
      if (last?.block !== grownLast.block) return [grow(grownLast, more)]
      grownLast.shown += more
      last.text += more
      return nothing
    },

    whole: (line: Fields, offset: number): AgentOutput[] => {
      const message = fields(line['message'])
      const messageId = text(message['id']) ?? ''
      const parentToolUseId = text(line['parent_tool_use_id'])
      return list(message['content']).map((item, index): AgentOutput => {
        const content = fields(item)
        const kind = kindOf(text(content['type']))
        const toolUseId = kind === 'tool_use' ? text(content['id']) : undefined
        const opened = kind === undefined ? undefined : take(messageId, kind, parentToolUseId, toolUseId)
        const block = opened?.block ?? `${generation}.${offset}.${index}`
        return { kind: 'message', draft: wholeDraft(content, kind, block, parentToolUseId) }
      })
    },

    /** Nothing is half shown: reading may start again behind this line. */
    quiet: (): boolean => open.length === 0,

    /** The turn or the process is over: what is open will not grow any more, and what was shown of it must not be lost. */
    cutOff: (): AgentOutput[] => cut(() => true),
  }
}

const partialDraft = ({ block, kind, shown, name, toolUseId, parentToolUseId }: OpenBlock): Draft =>
  kind === 'tool_use'
    ? {
        type: 'tool_use',
        block,
        toolUseId: toolUseId ?? block,
        name: name ?? 'unknown',
        input: shown,
        parentToolUseId,
        partial: true,
      }
    : { type: kind, block, text: shown, parentToolUseId, partial: true }

const wholeDraft = (
  content: Fields,
  kind: BlockDelta['kind'] | undefined,
  block: string,
  parentToolUseId: string | undefined,
): Draft => {
  switch (kind) {
    case 'text':
      return { type: 'text', block, text: text(content['text']) ?? '', parentToolUseId }
    case 'thinking':
      return { type: 'thinking', block, text: text(content['thinking']) ?? '', parentToolUseId }
    case 'tool_use':
      return {
        type: 'tool_use',
        block,
        toolUseId: text(content['id']) ?? block,
        name: text(content['name']) ?? 'unknown',
        input: content['input'] ?? {},
        parentToolUseId,
      }
    case undefined:
      // Tools that run on the API's side answer inside the model's message.
      return text(content['type'])?.endsWith('_tool_result') === true
        ? {
            type: 'tool_result',
            toolUseId: text(content['tool_use_id']) ?? '',
            content: content['content'] ?? null,
            isError: false,
            parentToolUseId,
          }
        : { type: 'system', subtype: text(content['type']) ?? 'content', data: content }
  }
}
