// Stands in for a claude that has a lot to say. Its answer to any prompt is made beforehand, and each line goes out by a
// write of its own, as the real CLI's do: what is measured is whoever reads, not the making of JSON. Its answer's size stands
// in `events` beside it: text deltas, in blocks of `blockEvents`.
import { readFileSync, writeSync } from 'node:fs'

const blockEvents = 2000

if (process.argv.includes('--version')) {
  process.stdout.write('2.1.330 (Claude Code)\n')
  process.exit(0)
}
const events = Number(readFileSync(new URL('events', import.meta.url), 'utf8'))
const session = crypto.randomUUID()

/** @type {string[]} */
const made = []
/** @param {string} message @param {object} event */
const streamed = (message, event) =>
  made.push(
    `${JSON.stringify({ type: 'stream_event', event, session_id: session, parent_tool_use_id: null, uuid: crypto.randomUUID(), api_message_id: message })}\n`,
  )
const pieces = Array.from({ length: blockEvents }, (_, index) => (index === 0 ? 'tok0' : ` tok${index}`))
const whole = { type: 'text', text: pieces.join('') }
for (let block = 0; block < events / blockEvents; block++) {
  const id = `msg_${crypto.randomUUID()}`
  streamed(id, { type: 'message_start', message: { id, role: 'assistant', content: [] } })
  streamed(id, { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } })
  for (const text of pieces)
    streamed(id, { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })
  made.push(`${JSON.stringify({ type: 'assistant', message: { id, role: 'assistant', content: [whole] } })}\n`)
  streamed(id, { type: 'content_block_stop', index: 0 })
  streamed(id, { type: 'message_stop' })
}
const result = { type: 'result', subtype: 'success', is_error: false, result: whole.text, terminal_reason: 'completed' }
made.push(`${JSON.stringify(result)}\n`)

const lengths = made.map((line) => line.length)
const answer = Buffer.from(made.join(''), 'latin1')

/** @param {object} line */
const say = (line) => writeSync(1, `${JSON.stringify(line)}\n`)

/** @param {string} text */
const take = (text) => {
  const line = JSON.parse(text)
  if (line.type === 'control_request')
    say({ type: 'control_response', response: { subtype: 'success', request_id: line.request_id, response: {} } })
  if (line.type !== 'user') return
  say({ type: 'command_lifecycle', command_uuid: line.uuid, state: 'started' })
  let at = 0
  for (const length of lengths) {
    for (let end = at + length; at < end;) at += writeSync(1, answer, at, end - at)
  }
  say({ type: 'command_lifecycle', command_uuid: line.uuid, state: 'completed' })
}

let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\n')
  rest = lines.pop() ?? ''
  for (const line of lines) take(line)
})
