import { createBlocks } from './decode-blocks.ts'
import { decodeApiError, decodeResult } from './decode-result.ts'
import { decodeSystem, kept } from './decode-system.ts'
import type { AgentOutput, BlockDelta } from './output.ts'
import { createRepeatedDelta } from './repeated-delta.ts'
import { fields, list, number, parseObject, text, type Fields } from './wire.ts'

/** A line of the journal, as the process room cuts it. */
export type WireLine = { start: number } & (
  | { kind: 'whole'; text: string }
  | { kind: 'oversized'; head: string; bytes: number }
)

export type Decoder = {
  /**
   * What the line means: nothing, one thing or several. Never throws. Where it only goes on with the block of `last`, the
   * newest thing decoded, `last` may be made longer instead: that is most lines, and everything else about them costs more.
   */
  decode(line: WireLine, last?: BlockDelta): AgentOutput[]
  /** The process is gone: what it had begun to say and will not finish. */
  end(): AgentOutput[]
  /** True where no block is open: a reader that starts behind this line misses nothing. */
  quiet(): boolean
}

/** The id of the `initialize` request: its answer says that the process is ready. */
export const initializeRequestId = 'aicm-initialize'

/** Begins the id of every ping: its answer says that the process is alive. */
export const pingPrefix = 'aicm-ping-'

const unparsedBytes = 2000
/** Of lines in a row that are no message so many are told one by one: a process gone mad must not fill the log. */
const unparsedTold = 20
/** After so many bytes in a row nothing sensible is expected any more. */
const unparsedMost = 100 * 1024 * 1024

export const createDecoder = ({ generation }: { generation: number }): Decoder => {
  const blocks = createBlocks(generation)
  const repeated = createRepeatedDelta()
  /** In a row, until now. */
  let unparsed = { lines: 0, bytes: 0 }

  const decodeUnparsed = (line: string): AgentOutput[] => {
    const before = unparsed.bytes
    unparsed.lines++
    unparsed.bytes += line.length
    if (before < unparsedMost && unparsed.bytes >= unparsedMost) return [{ kind: 'garbage', ...unparsed }]
    return unparsed.lines > unparsedTold ? [] : [unparsedMessage(line.slice(0, unparsedBytes))]
  }

  const endUnparsed = (): AgentOutput[] => {
    const { lines, bytes } = unparsed
    if (lines > 0) unparsed = { lines: 0, bytes: 0 }
    return lines > unparsedTold ? [unparsedMessage({ lines, bytes })] : []
  }

  const decodeLine = (line: Fields, offset: number): AgentOutput[] => {
    switch (line['type']) {
      case 'stream_event':
        return blocks.stream(line, offset)
      case 'assistant':
        return line['is_api_error_message'] === true ? decodeApiError(line) : blocks.whole(line, offset)
      case 'user':
        return decodeUser(line)
      case 'system':
        return decodeSystem(line)
      case 'result':
        return [...blocks.cutOff(), { kind: 'result', result: decodeResult(line) }]
      case 'command_lifecycle':
        return decodeLifecycle(line)
      case 'control_request':
        return decodeRequest(line)
      case 'control_cancel_request':
        return [{ kind: 'permission-withdrawn', requestId: text(line['request_id']) ?? '' }]
      case 'control_response':
        return decodeResponse(line)
      case 'rate_limit_event':
        return decodeRateLimit(line)
      case 'tool_progress':
      case 'keep_alive':
        return []
      default:
        return [{ kind: 'message', draft: kept(line) }]
    }
  }

  return {
    decode: (line, last) => {
      if (line.kind === 'oversized')
        return [
          {
            kind: 'message',
            draft: { type: 'system', subtype: 'oversized', data: { bytes: line.bytes, head: line.head } },
          },
        ]
      const more = repeated.match(line.text)
      const grown = more === undefined ? undefined : blocks.again(more, last)
      if (grown !== undefined) return grown
      repeated.forget()
      if (line.text.trim() === '') return []
      const value = parseObject(line.text)
      if (value === undefined) return decodeUnparsed(line.text)
      if (value['type'] === 'stream_event') repeated.learn(line.text, value)
      const outputs = decodeLine(value, line.start)
      return unparsed.lines === 0 ? outputs : [...endUnparsed(), ...outputs]
    },
    end: () => [...endUnparsed(), ...blocks.cutOff()],
    quiet: blocks.quiet,
  }
}

const unparsedMessage = (data: unknown): AgentOutput => ({
  kind: 'message',
  draft: { type: 'system', subtype: 'unparsed', data },
})

const decodeUser = (line: Fields): AgentOutput[] => {
  const content = fields(line['message'])['content']
  if (typeof content === 'string') {
    // A slash command answers in the user's place.
    const output = /<local-command-std(?:out|err)>([\s\S]*?)<\/local-command-std(?:out|err)>/.exec(content)
    return output === null
      ? []
      : [{ kind: 'message', draft: { type: 'system', subtype: 'local_command', data: output[1] } }]
  }
  return list(content).flatMap((item): AgentOutput[] => {
    const block = fields(item)
    if (block['type'] !== 'tool_result') return []
    return [
      {
        kind: 'message',
        draft: {
          type: 'tool_result',
          toolUseId: text(block['tool_use_id']) ?? '',
          content: block['content'] ?? null,
          isError: block['is_error'] === true,
          parentToolUseId: text(line['parent_tool_use_id']),
        },
      },
    ]
  })
}

const decodeLifecycle = (line: Fields): AgentOutput[] => {
  const turnId = text(line['command_uuid'])
  const state = line['state']
  return turnId !== undefined &&
    (state === 'queued' || state === 'started' || state === 'completed' || state === 'cancelled')
    ? [{ kind: 'prompt', turnId, state }]
    : []
}

const decodeRequest = (line: Fields): AgentOutput[] => {
  const requestId = text(line['request_id'])
  const request = fields(line['request'])
  const subtype = text(request['subtype']) ?? 'unknown'
  if (requestId === undefined) return [{ kind: 'message', draft: kept(line) }]
  if (subtype !== 'can_use_tool') return [{ kind: 'unsupported-request', requestId, subtype }]
  return [
    {
      kind: 'permission',
      requestId,
      toolUseId: text(request['tool_use_id']) ?? '',
      tool: text(request['tool_name']) ?? 'unknown',
      input: request['input'] ?? {},
      suggestions: list(request['permission_suggestions']),
    },
  ]
}

const decodeResponse = (line: Fields): AgentOutput[] => {
  const response = fields(line['response'])
  const requestId = text(response['request_id'])
  if (requestId === initializeRequestId && response['subtype'] === 'success') return [{ kind: 'ready' }]
  // An error is as good an answer as any.
  if (requestId?.startsWith(pingPrefix)) return [{ kind: 'pong', requestId: requestId.slice(pingPrefix.length) }]
  if (response['subtype'] === 'error')
    return [
      {
        kind: 'message',
        draft: { type: 'system', subtype: 'control_error', data: { requestId, error: response['error'] } },
      },
    ]
  return []
}

/** Said where claude itself holds the subscription's token; behind our broker it is the refusal that tells. */
const decodeRateLimit = (line: Fields): AgentOutput[] => {
  const info = fields(line['rate_limit_info'])
  const until = (number(info['resetsAt']) ?? NaN) * 1000
  const known = !Number.isNaN(new Date(until).getTime())
  const when = known ? `, resets at ${new Date(until).toISOString()}` : ''
  return [
    {
      kind: 'message',
      draft: {
        type: 'progress',
        kind: 'rate_limit',
        text: `Plan limit: ${text(info['status']) ?? 'changed'}${when}.`,
        data: line['rate_limit_info'],
      },
    },
    ...(info['status'] === 'rejected' && known ? [{ kind: 'limited', until } as const] : []),
  ]
}
