import { expect, test } from 'vitest'
import { createDecoder } from './decode.ts'

test('what claude begins anew after a broken connection is told before the retry, as far as it was shown', () => {
  const decoder = createDecoder({ generation: 1 })
  let start = 0
  const decode = (value: object) => {
    const text = JSON.stringify({ session_id: 's', parent_tool_use_id: null, ...value })
    start += text.length + 1
    return decoder.decode({ kind: 'whole', start, text })
  }
  const event = (event: object, more: object = {}) =>
    decode({ type: 'stream_event', event, api_message_id: 'msg_1', ...more })

  event({ type: 'message_start', message: { id: 'msg_1' } })
  event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
  event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'whole' } })
  decode({ type: 'assistant', message: { id: 'msg_1', content: [{ type: 'text', text: 'whole' }] } })
  event({ type: 'content_block_stop', index: 0 })
  event({ type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } })
  event({ type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'half' } })
  event({ type: 'content_block_stop', index: 1 })
  expect(decoder.quiet()).toBe(false)

  const abandoned_blocks = { api_message_id: 'msg_1', from_block_index: 1 }
  expect(event({ type: 'message_stop' }, { abandoned_blocks })).toMatchObject([
    { kind: 'message', draft: { type: 'text', text: 'half', partial: true } },
  ])
  expect(decoder.quiet()).toBe(true)
  expect(
    decode({ type: 'system', subtype: 'api_retry', attempt: 1, max_retries: 10, retry_delay_ms: 600 }),
  ).toMatchObject([{ kind: 'message', draft: { type: 'progress', kind: 'api_retry' } }])
  expect(decoder.end()).toEqual([])
})
