#!/usr/bin/env node
// A stand-in for the claude CLI 2.1.330: the same flags, lines and exit codes, but no model and no API behind it. One file,
// Node 20, so that it also runs where nothing else is visible. What it does is written in the prompt, in order:
//
// @tokens(N[,delayMs])   a streamed text block `tok0 tok1 …`; without a delay as fast as the output takes it
// @pieces(N,bytes[,delayMs])  a streamed text block of N pieces of so many bytes
// @text(some text)       a streamed text block
// @think(N)              a streamed thinking block of N tokens
// @lines(N)              N whole text messages `line 0`, `line 1`, …, not streamed
// @tool(Name,{json})     a tool call that asks for permission; answers `Name ran.` or the denial
// @bash(command)         a tool call that runs it in a shell, without asking; answers with what it printed
// @error(status)         what claude says when the API refuses
// @env                   a text block with its environment as JSON
// @daemon(seconds)       leaves a sleeper behind in a session of its own, orphaned
// @ignore-term           SIGTERM has no effect from now on
// @garbage(bytes)        a line that is no JSON and no UTF-8
// @long-line(bytes)      a whole text message in a line of about that size
// @random(bytes)         so many random bytes, and a newline; then the turn goes on
// @stderr(bytes)         error output
// @hang                  says nothing more until it is interrupted
// @hang-once             the same, but not when the prompt is run again after a restart
// @no-result             the turn ends, and neither its result nor its end is told
// @crash(how)            ends at once, by a signal's name or with an exit code
// @crash-once(how)       the same, but not when the prompt is run again after a restart
// @hog-once      takes all memory that it gets, but not when the prompt is run again after a restart
// @exit(code)            ends with this code once the turn has its result
//
// `@crash`, `@crash-once`, `@hang` and `@hang-once` right behind `@tokens` come before its block is complete. Any other prompt gets a line
// in answer. Models `fake-slow-start`, `fake-hang-at-start` and `fake-exit-at-start` do that instead of starting at once.
import { appendFileSync, mkdirSync, readFileSync, writeSync } from 'node:fs'

/** @typedef {Record<string, unknown>} Fields */
/** @typedef {{ name: string, argument: string, index: number, cut?: Directive }} Directive */
/**
 * @typedef {object} Turn
 * @property {string} prompt its uuid
 * @property {unknown} message
 * @property {string} promptText
 * @property {string} text what its result says
 * @property {number} calls
 * @property {number} outputTokens
 * @property {Fields[]} denials
 * @property {boolean} interrupted
 * @property {() => void} interrupt
 * @property {Fields} [failed]
 * @property {number} [exitCode]
 * @property {boolean} [mute]
 */

const version = '2.1.330'
const uuid = () => crypto.randomUUID()

// --- output: gathered and written in big pieces -----------------------------------------------------------------------

/** @type {string[]} */
let gathered = []
let gatheredLength = 0

/** @param {number} fd @param {Buffer | string} data */
const writeAll = (fd, data) => {
  const bytes = Buffer.isBuffer(data) ? data : Buffer.from(data)
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    }
  }
}

/** @param {number} total @param {(bytes: number) => void} write */
const inPieces = (total, write) => {
  for (let left = total; left > 0; left -= 1 << 20) write(Math.min(left, 1 << 20))
}

const flush = () => {
  if (gatheredLength === 0) return
  writeAll(1, gathered.join(''))
  gathered = []
  gatheredLength = 0
}

/** @param {Fields} line */
const say = (line) => {
  const text = `${JSON.stringify(line)}\n`
  gathered.push(text)
  gatheredLength += text.length
  if (gatheredLength > 65_536) flush()
}

/** @param {number} code @param {string} [message] @returns {never} */
const quit = (code, message) => {
  flush()
  if (message !== undefined) writeAll(2, `${message}\n`)
  process.exit(code)
}

// --- arguments ----------------------------------------------------------------------------------------------------------

const switches = new Set([
  '-p',
  '--print',
  '--verbose',
  '--include-partial-messages',
  '--replay-user-messages',
  '--version',
])
const valued = new Set(
  [
    ...['input-format', 'output-format', 'permission-prompt-tool', 'permission-mode', 'resume', 'session-id', 'model'],
    ...[
      'append-system-prompt',
      'system-prompt',
      'max-turns',
      'allowed-tools',
      'tools',
      'mcp-config',
      'settings',
      'add-dir',
    ],
  ].map((name) => `--${name}`),
)
/** @type {Record<string, string | undefined>} */
const options = {}
for (let at = 2; at < process.argv.length; at++) {
  const [, name = '', value] = /^(--?[a-z-]+)(?:=([\s\S]*))?$/.exec(process.argv[at] ?? '') ?? []
  if (switches.has(name)) options[name] = ''
  else if (valued.has(name)) options[name] = value ?? process.argv[++at]
  else quit(1, `error: unknown option '${process.argv[at]}'`)
}
if (options['--version'] !== undefined) {
  writeAll(1, `${version} (Claude Code)\n`)
  process.exit(0)
}
if (options['--input-format'] !== 'stream-json' || options['--output-format'] !== 'stream-json')
  quit(1, 'Error: this stand-in speaks --input-format=stream-json and --output-format=stream-json only')

// --- the conversation: what became of each prompt, beside claude's own transcripts --------------------------------------

const sessionId = options['--resume'] ?? options['--session-id'] ?? uuid()
const folder = `${process.env.CLAUDE_CONFIG_DIR ?? `${process.env.HOME}/.claude`}/fake-claude`
const transcript = `${folder}/${sessionId}.jsonl`

/** Prompts of earlier processes, by uuid: started, answered in part (`begun`), or `done`. */
const known = new Map()
const happened = new Set()
let exists = true
try {
  for (const line of readFileSync(transcript, 'utf8').split('\n').filter(Boolean)) {
    const { prompt, state, once } = JSON.parse(line)
    if (state !== undefined) known.set(prompt, state)
    if (once !== undefined) happened.add(once)
  }
} catch {
  exists = false
}
/** @param {Fields} entry */
const remember = (entry) => {
  mkdirSync(folder, { recursive: true })
  appendFileSync(transcript, `${JSON.stringify(entry)}\n`)
}
if (options['--session-id'] !== undefined && exists) quit(1, `Error: Session ID ${sessionId} is already in use.`)

let model = options['--model'] ?? 'claude-opus-5-5'
let permissionMode = options['--permission-mode'] ?? 'default'
let costUsd = 0
let results = 0

/** @param {number} inputTokens @param {number} outputTokens */
const usageOf = (inputTokens, outputTokens) => ({
  input_tokens: inputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: outputTokens,
})

/** @param {Fields} fields */
const sayResult = (fields) =>
  say({
    duration_api_ms: 1,
    stop_reason: 'end_turn',
    session_id: sessionId,
    total_cost_usd: costUsd,
    usage: usageOf(0, 0),
    modelUsage: {},
    permission_denials: [],
    terminal_reason: 'completed',
    is_error: false,
    num_turns: 1,
    subtype: 'success',
    api_error_status: null,
    type: 'result',
    duration_ms: 1,
    uuid: uuid(),
    result_index: results++,
    ...fields,
  })

if (options['--resume'] !== undefined && !exists) {
  const error = `No conversation found with session ID: ${sessionId}`
  const stillborn = {
    subtype: 'error_during_execution',
    is_error: true,
    num_turns: 0,
    stop_reason: null,
    errors: [error],
  }
  sayResult({ ...stillborn, terminal_reason: undefined })
  quit(1, error)
}

/** @param {string} subtype @param {Fields} fields */
const system = (subtype, fields) => say({ type: 'system', subtype, ...fields, session_id: sessionId, uuid: uuid() })
/** @param {string} prompt @param {string} state */
const moved = (prompt, state) =>
  say({ type: 'command_lifecycle', command_uuid: prompt, state, uuid: uuid(), session_id: sessionId })
/** @param {string} state */
const stateChanged = (state) => {
  if (process.env.CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS === '1') system('session_state_changed', { state })
}

// --- messages -----------------------------------------------------------------------------------------------------------

/** What an interrupt does to whatever is going on; its message is the turn's `terminal_reason`. */
class Interrupted extends Error {}

/** @param {string} message @param {Fields} event */
const streamed = (message, event) =>
  say({
    type: 'stream_event',
    event,
    session_id: sessionId,
    parent_tool_use_id: null,
    uuid: uuid(),
    api_message_id: message,
  })

/** @param {Turn} turn */
const openMessage = (turn) => {
  const id = `msg_${uuid()}`
  costUsd += 0.0005
  turn.calls++
  const usage = usageOf(100, 1)
  const message = {
    id,
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  }
  streamed(id, { type: 'message_start', message })
  return id
}

/** @param {string} message @param {Fields} content @param {Fields} more */
const whole = (message, content, more = {}) =>
  say({
    type: 'assistant',
    message: {
      id: message,
      type: 'message',
      role: 'assistant',
      model,
      content: [content],
      stop_reason: null,
      stop_sequence: null,
      usage: usageOf(100, 1),
    },
    parent_tool_use_id: null,
    session_id: sessionId,
    uuid: uuid(),
    timestamp: new Date().toISOString(),
    ...more,
  })

/** @param {string} message @param {string | null} stopReason @param {number} outputTokens */
const closeMessage = (message, stopReason, outputTokens) => {
  streamed(message, { type: 'content_block_stop', index: 0 })
  const delta = { stop_reason: stopReason, stop_sequence: null }
  streamed(message, { type: 'message_delta', delta, usage: { output_tokens: outputTokens } })
  streamed(message, { type: 'message_stop' })
}

/** @param {Fields[]} content */
const said = (content) =>
  say({
    type: 'user',
    message: { role: 'user', content },
    parent_tool_use_id: null,
    session_id: sessionId,
    uuid: uuid(),
  })

/** @param {Turn} turn @param {number} delayMs @returns {Promise<void>} */
const pause = (turn, delayMs) =>
  new Promise((resolve, reject) => {
    if (turn.interrupted) return reject(new Interrupted('aborted_streaming'))
    const timer = setTimeout(resolve, delayMs)
    turn.interrupt = () => {
      clearTimeout(timer)
      reject(new Interrupted('aborted_streaming'))
    }
  })

/**
 * One streamed block in a message of its own. `cut` is what happens before it is complete.
 * @param {Turn} turn @param {'text' | 'thinking'} kind @param {string[]} pieces @param {number} delayMs @param {Directive} [cut]
 */
const block = async (turn, kind, pieces, delayMs, cut) => {
  const message = openMessage(turn)
  const opened = kind === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' }
  streamed(message, { type: 'content_block_start', index: 0, content_block: opened })
  let shown = ''
  try {
    for (const [index, piece] of pieces.entries()) {
      if (delayMs > 0) {
        flush()
        await pause(turn, delayMs)
      } else if (index % 1000 === 999) await pause(turn, 0)
      shown += piece
      const delta = kind === 'text' ? { type: 'text_delta', text: piece } : { type: 'thinking_delta', thinking: piece }
      streamed(message, { type: 'content_block_delta', index: 0, delta })
    }
    if (cut !== undefined) await act(turn, cut)
  } catch (error) {
    if (error instanceof Interrupted && kind === 'text' && shown !== '') {
      whole(message, { type: 'text', text: shown }, { aborted: true })
      said([{ type: 'text', text: '[Request interrupted by user]' }])
      closeMessage(message, null, 1)
    }
    throw error
  }
  whole(
    message,
    kind === 'text' ? { type: 'text', text: shown } : { type: 'thinking', thinking: shown, signature: 'fake' },
  )
  closeMessage(message, 'end_turn', pieces.length)
  turn.outputTokens += pieces.length
  if (kind === 'text') turn.text = shown
  remember({ prompt: turn.prompt, state: 'begun' })
}

/**
 * Permission requests that wait for an answer, by request id.
 * @type {Map<string, (answer: { behavior?: string, message?: string } | undefined) => void>}
 */
const asked = new Map()

/** @param {Turn} turn @param {string} name @param {Fields} input @returns {string} the call's id */
const sayToolUse = (turn, name, input) => {
  const message = openMessage(turn)
  const id = `toolu_${uuid()}`
  const content = { type: 'tool_use', id, name, input }
  streamed(message, { type: 'content_block_start', index: 0, content_block: { ...content, input: {} } })
  const delta = { type: 'input_json_delta', partial_json: JSON.stringify(input) }
  streamed(message, { type: 'content_block_delta', index: 0, delta })
  whole(message, content)
  closeMessage(message, 'tool_use', 10)
  return id
}

/** @param {Turn} turn @param {string} command */
const bash = async (turn, command) => {
  const id = sayToolUse(turn, 'Bash', { command })
  flush()
  remember({ prompt: turn.prompt, state: 'begun' })
  const { spawn } = await import('node:child_process')
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] })
  turn.interrupt = () => child.kill('SIGKILL')
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const code = await new Promise((resolve) => child.once('close', resolve))
  const failed = code === 0 ? {} : { is_error: true }
  const content = code === 0 ? output : `Exit code ${code}\n${output}`
  said([{ type: 'tool_result', tool_use_id: id, content: content.trimEnd(), ...failed }])
}

/** @param {Turn} turn @param {string} name @param {Fields} input */
const toolCall = async (turn, name, input) => {
  const id = sayToolUse(turn, name, input)
  stateChanged('requires_action')
  const request = uuid()
  const suggestions = [{ type: 'setMode', mode: 'acceptEdits', destination: 'session' }]
  const asking = {
    subtype: 'can_use_tool',
    tool_name: name,
    display_name: name,
    input,
    permission_suggestions: suggestions,
    tool_use_id: id,
  }
  say({ type: 'control_request', request_id: request, request: asking })
  flush()
  /** @type {{ behavior?: string, message?: string } | undefined} */
  const answer = await new Promise((resolve, reject) => {
    asked.set(request, resolve)
    turn.interrupt = () => {
      say({ type: 'control_cancel_request', request_id: request })
      said([
        { type: 'tool_result', content: 'The user does not want this tool to run.', is_error: true, tool_use_id: id },
      ])
      reject(new Interrupted('aborted_tools'))
    }
  }).finally(() => asked.delete(request))
  stateChanged('running')
  // From here on it counts as done: what follows is not repeated after a crash.
  remember({ prompt: turn.prompt, state: 'begun' })
  const allowed = answer?.behavior === 'allow'
  said([
    {
      tool_use_id: id,
      type: 'tool_result',
      content: allowed ? `${name} ran.` : (answer?.message ?? 'denied'),
      ...(allowed ? {} : { is_error: true }),
    },
  ])
  if (!allowed) turn.denials.push({ tool_name: name, tool_use_id: id, tool_input: input })
}

// --- directives ---------------------------------------------------------------------------------------------------------

/** @param {string} prompt */
const directivesIn = (prompt) => {
  /** @type {Directive[]} */
  const found = []
  for (let at = 0; (at = prompt.indexOf('@', at)) >= 0; at++) {
    const name = /^@([a-z]+(?:-[a-z]+)*)/.exec(prompt.slice(at, at + 20))?.[1]
    if (name === undefined) continue
    let end = at + 1 + name.length
    const start = end
    if (prompt[start] === '(') {
      let depth = 0
      do {
        if (prompt[end] === '(') depth++
        if (prompt[end] === ')') depth--
        end++
      } while (depth > 0 && end < prompt.length)
    }
    found.push({ name, argument: prompt.slice(start + 1, end - 1), index: found.length })
    at = end - 1
  }
  return found
}

/** @param {number} count */
const tokens = (count) => Array.from({ length: count }, (_, index) => (index === 0 ? 'tok0' : ` tok${index}`))

/** @param {string} how a signal's name or an exit code */
const die = async (how) => {
  flush()
  if (/^\d+$/.test(how)) process.exit(Number(how))
  process.kill(process.pid, how)
  await new Promise(() => setInterval(() => {}, 60_000))
}

/** @param {Turn} turn @param {Directive} directive @returns {Promise<void>} */
const act = async (turn, { name, argument, index, cut }) => {
  const [first = '', second = '0', third = '0'] = argument.split(',')
  switch (name) {
    case 'tokens':
      return block(turn, 'text', tokens(Number(first)), Number(second), cut)
    case 'pieces':
      return block(turn, 'text', Array(Number(first)).fill('x'.repeat(Number(second))), Number(third))
    case 'text':
      return block(turn, 'text', argument.match(/[\s\S]{1,7}/gu) ?? [], 0)
    case 'think':
      return block(turn, 'thinking', tokens(Number(first)), 0)
    case 'env':
      return block(turn, 'text', [JSON.stringify(process.env)], 0)
    case 'lines':
      for (let line = 0; line < Number(first); line++) {
        whole(`msg_${uuid()}`, { type: 'text', text: `line ${line}` })
        if (line % 1000 === 999) await pause(turn, 0)
      }
      turn.text = `line ${Number(first) - 1}`
      return remember({ prompt: turn.prompt, state: 'begun' })
    case 'long-line':
      return whole(`msg_${uuid()}`, { type: 'text', text: 'x'.repeat(Number(first)) })
    case 'tool': {
      const comma = argument.indexOf(',')
      return comma < 0
        ? toolCall(turn, argument, {})
        : toolCall(turn, argument.slice(0, comma), JSON.parse(argument.slice(comma + 1)))
    }
    case 'bash':
      return bash(turn, argument)
    case 'error': {
      const text = `API Error: Request rejected (${first}) · scripted`
      const failure = { api_error_status: Number(first), api_error_type: 'scripted_error' }
      whole(uuid(), { type: 'text', text }, { is_api_error_message: true, ...failure })
      turn.failed = { ...failure, is_error: true, terminal_reason: 'api_error', result: text }
      return
    }
    case 'garbage': {
      flush()
      const bytes = Buffer.alloc(Number(first), '{"type":"assistant",\0\xff\xfe nonsense ', 'latin1')
      return writeAll(1, Buffer.concat([bytes, Buffer.from('\n')]))
    }
    case 'random': {
      flush()
      const { randomBytes } = await import('node:crypto')
      inPieces(Number(first), (bytes) => writeAll(1, randomBytes(bytes)))
      return writeAll(1, '\n')
    }
    case 'stderr':
      inPieces(Number(first), (bytes) => writeAll(2, Buffer.alloc(bytes, 'e')))
      return writeAll(2, '\n')
    case 'daemon': {
      const { spawnSync } = await import('node:child_process')
      const sleeper = `setsid sh -c 'trap : TERM; sleep "$1" & wait; wait' sh "$0" </dev/null >/dev/null 2>&1 &`
      spawnSync('sh', ['-c', sleeper, first])
      return
    }
    case 'ignore-term':
      process.on('SIGTERM', () => {})
      return
    case 'hang':
      flush()
      return pause(turn, 2 ** 31 - 1)
    case 'crash':
      return die(argument)
    case 'crash-once':
    case 'hog-once':
    case 'hang-once': {
      const once = `${turn.prompt}/${index}`
      if (happened.has(once)) return
      remember({ once })
      return act(turn, { name: name.replace('-once', ''), argument, index })
    }
    case 'hog':
      for (const taken = []; ;) taken.push(Buffer.alloc(1_000_000, 1))
    case 'no-result':
      turn.mute = true
      return
    case 'exit':
      turn.exitCode = Number(first)
      return
    default:
      return block(turn, 'text', [`There is no directive @${name}.`], 0)
  }
}

// --- turns --------------------------------------------------------------------------------------------------------------

const sayInit = () =>
  system('init', {
    cwd: process.cwd(),
    tools: ['Bash', 'Read', 'Write'],
    mcp_servers: [],
    model,
    permissionMode,
    slash_commands: [],
    apiKeySource: 'ANTHROPIC_API_KEY',
    claude_code_version: version,
    output_style: 'default',
  })

/** @param {Turn} turn */
const runTurn = async (turn) => {
  moved(turn.prompt, 'started')
  remember({ prompt: turn.prompt, state: 'started' })
  sayInit()
  system('status', { status: 'requesting', user_message_uuids: [turn.prompt] })
  say({
    type: 'user',
    message: turn.message,
    session_id: sessionId,
    parent_tool_use_id: null,
    uuid: turn.prompt,
    isReplay: true,
  })
  flush()
  const directives = directivesIn(turn.promptText)
  const cuts = new Set(['crash', 'crash-once', 'hang', 'hang-once'])
  try {
    for (const [at, directive] of directives.entries()) {
      if (cuts.has(directive.name) && directives[at - 1]?.name === 'tokens') continue
      const next = directives[at + 1]
      const cut = directive.name === 'tokens' && next !== undefined && cuts.has(next.name) ? next : undefined
      await act(turn, { ...directive, cut })
      if (turn.interrupted) throw new Interrupted('aborted_streaming')
    }
    if (directives.length === 0) await block(turn, 'text', ['You said: ', turn.promptText.slice(0, 200)], 0)
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error
    const diagnostic = '[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null'
    sayResult({
      subtype: 'error_during_execution',
      is_error: true,
      stop_reason: null,
      terminal_reason: error.message,
      errors: [diagnostic],
    })
    remember({ prompt: turn.prompt, state: 'done' })
    moved(turn.prompt, 'cancelled')
    return
  }
  if (turn.mute) return remember({ prompt: turn.prompt, state: 'done' })
  const usage = usageOf(100 * turn.calls, turn.outputTokens)
  sayResult({
    result: turn.text,
    usage,
    num_turns: Math.max(1, turn.calls),
    permission_denials: turn.denials,
    ...turn.failed,
  })
  remember({ prompt: turn.prompt, state: 'done' })
  moved(turn.prompt, 'completed')
  if (turn.exitCode !== undefined) quit(turn.exitCode)
}

/** @type {Turn[]} */
const queue = []
/** @type {Turn | undefined} */
let current
let inputEnded = false

const work = async () => {
  stateChanged('running')
  for (current = queue.shift(); current !== undefined; current = queue.shift()) await runTurn(current)
  stateChanged('idle')
  flush()
  if (inputEnded) quit(0)
}

/** Prompts that this process has heard of: the same again is passed over without a word. */
const heard = new Set()

/** @typedef {{ content?: string | { text?: string }[] }} PromptMessage */

/** @param {{ uuid?: string, message?: PromptMessage }} line */
const takePrompt = (line) => {
  const prompt = line.uuid ?? uuid()
  if (heard.has(prompt)) return
  heard.add(prompt)
  if (known.has(prompt) && known.get(prompt) !== 'started') return moved(prompt, 'completed')
  const content = line.message?.content
  const promptText = typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('\n')
  moved(prompt, 'queued')
  queue.push({
    prompt,
    message: line.message,
    promptText,
    text: '',
    calls: 0,
    outputTokens: 0,
    denials: [],
    interrupted: false,
    interrupt: () => {},
  })
  if (current === undefined) void work()
}

/** @param {string} requestId @param {Fields} response */
const respond = (requestId, response) =>
  say({ type: 'control_response', response: { ...response, request_id: requestId } })

/** @param {{ request_id: string, request: { subtype?: string, model?: string, mode?: string } }} line */
const takeRequest = ({ request_id: id, request }) => {
  /** @param {Fields} response */
  const done = (response) => respond(id, { subtype: 'success', response })
  switch (request.subtype) {
    case 'initialize':
      return done({
        commands: [],
        models: [],
        account: {},
        pid: process.pid,
        claude_code_version: version,
        session_state: 'idle',
      })
    case 'interrupt':
      done({ still_queued: queue.map(({ prompt }) => prompt) })
      if (current === undefined) return
      current.interrupted = true
      return current.interrupt()
    case 'set_model':
      model = request.model ?? model
      return done({ model })
    case 'set_permission_mode':
      permissionMode = request.mode ?? permissionMode
      return done({ mode: permissionMode })
    default:
      return respond(id, {
        subtype: 'error',
        error: `Unsupported control request subtype: ${request.subtype}`,
        error_code: 'unsupported_request',
      })
  }
}

/** @param {string} text */
const take = (text) => {
  if (text.trim() === '') return
  let line
  try {
    line = JSON.parse(text)
  } catch (error) {
    return quit(1, `Error parsing streaming input line: ${text.slice(0, 200)}: ${error}`)
  }
  if (line.type === 'user') takePrompt(line)
  else if (line.type === 'control_request') takeRequest(line)
  else if (line.type === 'control_response') asked.get(line.response?.request_id)?.(line.response.response)
  flush()
}

if (model === 'fake-exit-at-start') quit(1, 'Error: told to end at its start')

const listen = () => {
  let rest = ''
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line)
  })
  process.stdin.on('end', () => {
    inputEnded = true
    if (current === undefined) quit(0)
  })
}

// What it is given while it loads stays where it is.
if (model === 'fake-hang-at-start') setInterval(() => {}, 2 ** 30)
else if (model === 'fake-slow-start') setTimeout(listen, 300)
else listen()
