import type { SettledBlock, Transcript, TranscriptBlock } from '@aicm/client'
import { continueTool } from '@aicm/protocol'

type Of<K extends SettledBlock['kind']> = Extract<SettledBlock, { kind: K }>

/** A prompt and everything that came of it; or what happened between turns. */
export type Turn = {
  key: string
  /** Undefined for what belongs to no turn. */
  turnId: string | undefined
  prompt: Of<'prompt'> | undefined
  blocks: readonly TranscriptBlock[]
  complete: Of<'complete'> | undefined
  state: 'queued' | 'running' | 'done'
}

/**
 * The blocks of a conversation by turn. A queued prompt stands in the log in the midst of the turn before it; here it comes
 * after all of that turn. Order: by the first thing known of each turn, waiting ones last.
 */
export const turnsOf = ({
  settled,
  open: growing,
  openTurns,
}: Pick<Transcript, 'settled' | 'open' | 'openTurns'>): Turn[] => {
  type Draft = Omit<Turn, 'blocks'> & { blocks: TranscriptBlock[] }
  const turns: Draft[] = []
  const byId = new Map<string, Draft>()
  const open = (turnId: string | undefined, key: string): Draft => {
    const turn: Draft = { key, turnId, prompt: undefined, blocks: [], complete: undefined, state: 'done' }
    turns.push(turn)
    if (turnId !== undefined) byId.set(turnId, turn)
    return turn
  }

  for (const block of [...settled, ...growing]) {
    if (!isShown(block)) continue
    const turnId = block.message === undefined ? block.turnId : block.message.turnId
    if (turnId === undefined) {
      const last = turns.at(-1)
      const turn = last !== undefined && last.turnId === undefined ? last : open(undefined, `between:${block.key}`)
      turn.blocks.push(block)
      continue
    }
    const turn = byId.get(turnId) ?? open(turnId, turnId)
    if (block.kind === 'prompt') turn.prompt = block
    else if (block.kind === 'complete') turn.complete = block
    else turn.blocks.push(block)
  }
  const [running, ...waiting] = openTurns
  for (const turn of turns) {
    if (turn.turnId === undefined || turn.complete !== undefined) continue
    if (turn.turnId === running) turn.state = 'running'
    else if (waiting.includes(turn.turnId)) turn.state = 'queued'
  }
  return [...turns.filter(({ state }) => state !== 'queued'), ...turns.filter(({ state }) => state === 'queued')]
}

/** What the agent says of itself at each start, and what this version does not know, is not conversation. */
const isShown = (block: TranscriptBlock): boolean => {
  if (block.kind === 'system') return false
  if (block.kind === 'metadata') return block.message.generation > 1
  if (block.kind === 'status') return ['error', 'recovering'].includes(block.message.status)
  if (block.kind === 'text' || block.kind === 'thinking') return block.text !== ''
  return true
}

export const sameTurn = (a: Turn, b: Turn): boolean =>
  a.key === b.key &&
  a.state === b.state &&
  a.prompt === b.prompt &&
  a.complete === b.complete &&
  a.blocks.length === b.blocks.length &&
  a.blocks.every((block, index) => block === b.blocks[index])

export type ToolEntry = {
  kind: 'tool'
  key: string
  name: string
  input: unknown
  /** `writing`: its input still grows. `waiting`: for an answer to the approval. */
  state: 'writing' | 'waiting' | 'running' | 'ok' | 'failed' | 'denied' | 'cut'
  result: Of<'tool_result'> | undefined
  approval: Of<'approval'> | undefined
  /** What a sub-agent that this call started said and did. */
  inner: Entry[]
}

export type Entry =
  | ToolEntry
  | { kind: 'text' | 'thinking'; key: string; text: string; state: TranscriptBlock['state'] }
  | {
      kind: 'progress' | 'error' | 'status' | 'metadata'
      key: string
      block: Of<'progress' | 'error' | 'status' | 'metadata'>
    }

/** A turn as it is shown: calls with their approval and result in one place, sub-agents inside their call. */
export const entriesOf = (turn: Pick<Turn, 'blocks' | 'state'>): Entry[] => {
  const top: Entry[] = []
  const tools = new Map<string, ToolEntry>()
  const place = (parent: string | undefined) => (parent === undefined ? top : (tools.get(parent)?.inner ?? top))
  const toolFor = (toolUseId: string, name: string, input: unknown, parent?: string): ToolEntry => {
    const known = tools.get(toolUseId)
    if (known !== undefined) return known
    const tool: ToolEntry = {
      kind: 'tool',
      key: toolUseId,
      name,
      input,
      state: 'running',
      result: undefined,
      approval: undefined,
      inner: [],
    }
    tools.set(toolUseId, tool)
    place(parent).push(tool)
    return tool
  }

  for (const block of turn.blocks) {
    if (block.message === undefined) {
      const list = place(block.parentToolUseId)
      if (block.kind === 'tool_use') {
        const state = block.state === 'open' ? 'writing' : 'cut'
        list.push({
          kind: 'tool',
          key: block.key,
          name: block.name ?? 'Tool',
          input: block.text,
          state,
          result: undefined,
          approval: undefined,
          inner: [],
        })
      } else list.push({ kind: block.kind, key: block.key, text: block.text, state: block.state })
      continue
    }
    switch (block.kind) {
      case 'text':
      case 'thinking':
        place(block.message.parentToolUseId).push({
          kind: block.kind,
          key: block.key,
          text: block.text,
          state: block.state,
        })
        break
      case 'tool_use': {
        const { toolUseId, name, input, parentToolUseId, partial } = block.message
        const tool = toolFor(toolUseId, name, input, parentToolUseId)
        // The approval may stand in the log first; the call itself knows better.
        Object.assign(tool, { key: block.key, name, input })
        if (partial === true) tool.state = 'cut'
        break
      }
      case 'tool_result': {
        const { toolUseId, parentToolUseId } = block.message
        toolFor(toolUseId, 'Tool', undefined, parentToolUseId).result = block
        break
      }
      case 'approval':
        toolFor(block.message.toolUseId, block.message.tool, block.message.input).approval = block
        break
      case 'progress': {
        const last = top.at(-1)
        const entry = { kind: block.kind, key: block.key, block }
        // A countdown is one line, not one line a second.
        const repeats =
          last?.kind === 'progress' && last.block.kind === 'progress' && last.block.message.kind === block.message.kind
        if (repeats) top[top.length - 1] = entry
        else top.push(entry)
        break
      }
      case 'error':
      case 'status':
      case 'metadata':
        top.push({ kind: block.kind, key: block.key, block })
        break
    }
  }
  for (const tool of tools.values()) tool.state = toolState(tool, turn.state)
  return top
}

const toolState = ({ state, result, approval }: ToolEntry, turn: Turn['state']): ToolEntry['state'] => {
  if (approval?.message.state === 'denied') return 'denied'
  // It has no result but what follows.
  if (approval?.message.tool === continueTool && approval.message.state === 'allowed') return 'ok'
  if (result !== undefined) return result.message.isError ? 'failed' : 'ok'
  if (state === 'cut' || turn === 'done') return 'cut'
  return approval?.message.state === 'pending' ? 'waiting' : 'running'
}
