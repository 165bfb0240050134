import { toolResultText, toolSummary } from '@aicm/client'
import type { CompleteMessage, Message, StreamItem } from '@aicm/protocol'
import type { Context } from './context.ts'
import { createInert, inertLine } from './inert.ts'

export type Renderer = {
  item(item: StreamItem): void
  /** A line of ours, between the lines of the answer. */
  note(text: string): void
  /** Ends the last line. */
  end(): void
}

/**
 * Shows a stream to a person: the answer's text on stdout as it grows, all else dimmed on stderr. What sub-agents say stays
 * out of the answer.
 */
export const createRenderer = (
  { io, out, err }: Context,
  { prompts }: { prompts: (turnId: string | undefined) => boolean },
): Renderer => {
  const shown = new Map<string, number>()
  const clean = io.stdout.isTTY === true ? createInert() : (text: string) => text
  const sameScreen = io.stdout.isTTY === true && io.stderr.isTTY === true
  let last: string | undefined
  let column = 0
  let half = ''
  let answered = false

  const write = (text: string) => {
    // Half a character cannot be written: it waits for its other half.
    const joined = half + text
    half = /[\ud800-\udbff]$/.test(joined) ? joined.slice(-1) : ''
    const safe = clean(half === '' ? joined : joined.slice(0, -1))
    if (safe === '') return
    io.stdout.write(safe)
    column = safe.endsWith('\n') ? 0 : 1
  }

  const breakLine = () => {
    if (column === 0) return
    io.stdout.write('\n')
    column = 0
  }

  const note = (text: string) => {
    if (sameScreen) breakLine()
    err.print(text)
  }

  /** More of a block of the answer; blocks are apart from each other by an empty line. */
  const grow = (block: string, at: number, text: string) => {
    const from = shown.get(block) ?? 0
    if (at > from || at + text.length <= from) return
    if (last !== undefined && last !== block) {
      breakLine()
      io.stdout.write('\n')
    }
    last = block
    answered = true
    write(text.slice(from - at))
    shown.set(block, at + text.length)
  }

  const message = (item: Message) => {
    switch (item.type) {
      case 'text':
        if (item.parentToolUseId === undefined) grow(item.block, 0, item.text)
        shown.delete(item.block)
        return
      case 'prompt': {
        answered = false
        if (!prompts(item.turnId)) return
        const text = item.content.map((block) => (block.type === 'text' ? block.text : '[image]')).join(' ')
        breakLine()
        io.stdout.write(`${last === undefined ? '' : '\n'}${out.style.bold(`> ${inertLine(text)}`)}\n\n`)
        last = undefined
        return
      }
      case 'tool_use':
        return note(err.style.dim(`${indent(item)}→ ${inertLine(item.name)}: ${inertLine(toolSummary(item.input))}`))
      case 'tool_result':
        return note(err.style.dim(`${indent(item)}  ${item.isError ? '✗' : '✓'} ${resultLine(item.content)}`))
      case 'progress':
        return note(err.style.dim(`… ${inertLine(item.text)}`))
      case 'error':
        note(`${err.style.red('error:')} ${inertLine(item.message)} ${err.style.dim(`(${item.code})`)}`)
        if (item.hint !== undefined) note(inertLine(item.hint))
        return
      case 'approval':
        if (item.state !== 'pending') note(err.style.dim(`  ${item.state}`))
        return
      case 'status':
        if (item.status === 'error' || item.status === 'recovering' || item.status === 'closed')
          note(
            err.style.dim(`… session ${item.status}${item.reason === undefined ? '' : `: ${inertLine(item.reason)}`}`),
          )
        return
      case 'complete':
        return complete(item)
      default:
    }
  }

  const complete = (item: CompleteMessage) => {
    if (item.result === 'success' && !answered && item.text !== undefined) grow(`complete ${item.seq}`, 0, item.text)
    breakLine()
    if (item.result === 'interrupted') note(err.style.yellow('interrupted'))
    if (item.result === 'error')
      note(`${err.style.red('failed:')} ${inertLine(item.text ?? item.reason)} ${err.style.dim(`(${item.reason})`)}`)
    const figures = figuresOf(item)
    if (io.stderr.isTTY === true && figures !== '') note(err.style.dim(figures))
    last = last === undefined ? undefined : 'complete'
  }

  return {
    item: (item) => {
      if (item.type !== 'delta') return message(item)
      if (item.kind === 'text' && item.parentToolUseId === undefined) grow(item.block, item.at, item.text)
    },
    note,
    end: breakLine,
  }
}

const indent = ({ parentToolUseId }: { parentToolUseId?: string | undefined }): string =>
  parentToolUseId === undefined ? '' : '  '

const resultLine = (content: unknown): string => {
  const lines = toolResultText(content).trim().split('\n')
  const first = inertLine(lines[0] ?? '')
  const short = first.length > 100 ? `${first.slice(0, 99)}…` : first
  return lines.length > 1 ? `${short} (+${lines.length - 1} lines)` : short
}

const figuresOf = ({ durationMs, usage, costUsd }: CompleteMessage): string =>
  [
    durationMs === undefined ? '' : `${(durationMs / 1000).toFixed(1)} s`,
    usage === undefined
      ? ''
      : `${usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens} tokens in, ${usage.outputTokens} out`,
    costUsd === undefined || costUsd === 0 ? '' : `$${costUsd.toFixed(4)}`,
  ]
    .filter((part) => part !== '')
    .join(' · ')
