import { once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { eventsOf, messages, textOf } from '../testing.ts'
import { scriptedApi } from './scripted-api.ts'
import { tokensText } from './directives.ts'

const open = async (pace?: number | 'instant') => {
  const api = scriptedApi({ pace: pace ?? 'instant' })
  const server = await api.listen()
  const post = (body: string, path = '/v1/messages') => fetch(server.url + path, { method: 'POST', body })
  const stream = async (prompt: string, more?: Record<string, unknown>) =>
    eventsOf(await (await post(messages(prompt, more))).text())
  return { api, url: server.url, post, stream, [Symbol.asyncDispose]: server.close }
}
const user = (...content: unknown[]) => ({ role: 'user', content })
const asked = (prompt: string) => user({ type: 'text', text: prompt })
const called = (name: string, input: unknown = {}, id = 'toolu_1') => ({
  role: 'assistant',
  content: [{ type: 'tool_use', id, name, input }],
})
const result = (content: string, is_error = false, id = 'toolu_1') =>
  user({ type: 'tool_result', tool_use_id: id, content, is_error })
const said = (content: string) => ({ role: 'assistant', content: [{ type: 'text', text: content }] })
const refusal = async (answer: Response) => [answer.status, JSON.parse(await answer.text())]
const toolOf = (events: Awaited<ReturnType<typeof eventsOf>>) => {
  const block = events.find(({ content_block }) => content_block?.type === 'tool_use')?.content_block
  const json = events
    .map(({ delta }) => (delta?.type === 'input_json_delta' ? String(delta.partial_json) : ''))
    .join('')
  return block === undefined ? null : { name: block.name, input: JSON.parse(json) }
}

test('a streamed answer has the API’s events in the API’s order, and an id of its own', async () => {
  await using api = await open()
  const events = await api.stream('@think(2) @text(hello) @bash(ls)')
  const kinds = events.map(({ type, delta }) => (delta?.type === undefined ? type : `${type} ${delta.type}`))
  expect(kinds.filter((kind, at) => kind !== kinds[at - 1])).toEqual([
    'message_start',
    'ping',
    'content_block_start',
    'content_block_delta thinking_delta',
    'content_block_delta signature_delta',
    'content_block_stop',
    'content_block_start',
    'content_block_delta text_delta',
    'content_block_stop',
    'content_block_start',
    'content_block_delta input_json_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ])
  expect(events.filter(({ type }) => type === 'content_block_start').map(({ index }) => index)).toEqual([0, 1, 2])
  expect(events.at(-2)).toMatchObject({
    delta: { stop_reason: 'tool_use' },
    usage: { output_tokens: expect.any(Number) },
  })
  expect(toolOf(events)).toEqual({ name: 'Bash', input: { command: 'ls', description: 'Run a scripted command' } })
  const id = (all: typeof events) => JSON.stringify(all[0]).match(/msg_\w{20,}/)?.[0]
  expect(id(events)).toBeDefined()
  expect(id(await api.stream('@text(hello)'))).not.toBe(id(events))
})

test('each token is an event of its own, however many there are', async () => {
  await using api = await open()
  const events = await api.stream('@tokens(20000)')
  expect(events.filter(({ delta }) => delta?.type === 'text_delta')).toHaveLength(20_000)
  expect(textOf(events)).toBe(tokensText(20_000))
})

test('the same answer is given whole to those who do not stream', async () => {
  await using api = await open()
  const answer = await api.post(messages('@think(2) @text(a) @bash(ls) @text(b)', { stream: false }))
  expect(answer.headers.get('request-id')).toMatch(/^req_/)
  expect(await answer.json()).toMatchObject({
    type: 'message',
    role: 'assistant',
    model: 'claude-test',
    stop_reason: 'tool_use',
    content: [
      { type: 'thinking' },
      { type: 'text', text: 'a' },
      { type: 'tool_use', name: 'Bash', input: { command: 'ls' } },
    ],
  })
})

test('after a tool’s result the directives go on where they were', async () => {
  await using api = await open()
  const prompt = asked('@text(a) @bash(one) @bash(two) @tokens(3)')
  const first = [prompt, called('Bash'), result('1')]
  expect(toolOf(await api.stream('', { messages: first }))).toMatchObject({ input: { command: 'two' } })
  const second = [...first, called('Bash', {}, 'toolu_2'), result('2', false, 'toolu_2')]
  expect(textOf(await api.stream('', { messages: second }))).toBe('tok0 tok1 tok2')
  expect(api.api.calls.at(-1)).toMatchObject({
    lastUserText: '@text(a) @bash(one) @bash(two) @tokens(3)',
    toolResults: [{ text: '1' }, { text: '2' }],
  })
})

test('what the CLI inserts is not the prompt, and of merged prompts the last one counts', async () => {
  await using api = await open()
  const content = [
    { type: 'text', text: '<system-reminder>@text(reminder)</system-reminder>' },
    { type: 'text', text: '@text(first)' },
    { type: 'text', text: '[Request interrupted by user]' },
    { type: 'text', text: '<system-reminder>x</system-reminder>\n@text(second)' },
    { type: 'text', text: '<system-reminder>last</system-reminder>' },
  ]
  expect(textOf(await api.stream('', { messages: [user(...content)] }))).toBe('second')
})

test('a prompt sent while a tool ran is taken up after what was asked before', async () => {
  await using api = await open()
  const meanwhile =
    'The user sent a new message while you were working:\n@text( two)\n\nThis is how Claude Code surfaces messages'
  const all = [asked('@bash(x) @text(one)'), called('Bash'), result('1'), { role: 'system', content: meanwhile }]
  expect(textOf(await api.stream('', { messages: all }))).toBe('one two')
})

test('a broken answer is continued where it stopped', async () => {
  await using api = await open()
  const again = asked('Your response above was cut off mid-stream. Resume directly from where it stops.')
  const resume = (prompt: string, partial: string) =>
    api.stream('', { messages: [asked(prompt), said(partial), again] })
  expect(textOf(await resume('@tokens(5) @text(!)', 'tok0 tok1 to'))).toBe('k2 tok3 tok4!')
  await expect(api.stream('@reset(5)')).rejects.toThrow('terminated')
  expect(textOf(await resume('@reset(5)', tokensText(5)))).toBe('Done.')
  const whole = textOf(await api.stream('write a long essay'))
  expect(textOf(await resume('write a long essay', whole.slice(0, 1000)))).toBe(whole.slice(1000))
})

test('errors come as asked for, as often as asked for, counted for each session', async () => {
  await using api = await open()
  const status = async (session: string) =>
    (
      await fetch(`${api.url}/v1/messages`, {
        method: 'POST',
        headers: { 'x-claude-code-session-id': session },
        body: messages('@error(529,2)'),
      })
    ).status
  expect([await status('a'), await status('a'), await status('b'), await status('a')]).toEqual([529, 529, 529, 200])
  const always = await api.post(messages('@error(401)'))
  expect(always.status).toBe(401)
  expect(await always.json()).toEqual({
    type: 'error',
    error: { type: 'authentication_error', message: 'Scripted error 401' },
  })
  expect((await api.stream('@text(a) @error(529)')).at(-1)).toMatchObject({
    type: 'error',
    error: { type: 'overloaded_error' },
  })
})

test('a hanging answer shows only its start, or only its headers', async () => {
  await using api = await open()
  const hang = async (prompt: string) => {
    const sent = request(`${api.url}/v1/messages`, { method: 'POST' }).end(messages(prompt))
    const [answer] = await once(sent, 'response')
    return { sent, answer }
  }
  const started = await hang('@hang')
  expect(String((await once(started.answer, 'data'))[0])).toContain('message_start')
  started.sent.destroy()
  const headers = await hang('@hang(headers)')
  expect(headers.answer.statusCode).toBe(200)
  headers.sent.destroy()
})

test('a reset and a malformed stream happen once', async () => {
  await using api = await open()
  await expect(api.stream('@reset(3)')).rejects.toThrow('terminated')
  expect(textOf(await api.stream('@reset(3)'))).toBe(tokensText(3))
  expect(await (await api.post(messages('@malformed'))).text()).toMatch(/"index":\n\n$/)
  expect(textOf(await api.stream('@malformed'))).toBe('Recovered.')
})

test('a bad directive, a bad body and a wrong path are refused in the API’s form', async () => {
  await using api = await open()
  expect(await refusal(await api.post(messages('@tokens(x)')))).toMatchObject([
    400,
    { error: { message: expect.stringContaining('@tokens') } },
  ])
  expect(await refusal(await api.post('{'))).toMatchObject([400, { error: { type: 'invalid_request_error' } }])
  expect(await refusal(await api.post('{"model":"m"}'))).toMatchObject([
    400,
    { error: { message: 'messages: Field required' } },
  ])
  expect(await refusal(await api.post('{}', '/v1/models'))).toMatchObject([404, { error: { type: 'not_found_error' } }])
})

test('tokens are counted, and a limit on them is kept', async () => {
  await using api = await open()
  expect(await (await api.post(messages('hello'), '/v1/messages/count_tokens')).json()).toEqual({
    input_tokens: expect.any(Number),
  })
  const events = await api.stream('@tokens(10)', { max_tokens: 2 })
  expect(textOf(events)).toBe('tok0 tok1')
  expect(events.at(-2)).toMatchObject({ delta: { stop_reason: 'max_tokens' } })
})

test('a plain prompt gets an answer that says what it is and shows Markdown', async () => {
  await using api = await open()
  const answer = textOf(await api.stream('Hello `there`'))
  expect(answer).toContain('scripted: no model has read your prompt')
  expect(answer).toContain('*Hello there*')
  for (const part of [/^## /m, /^1\. /m, /^```ts$/m, /^\|---/m]) expect(answer).toMatch(part)
  expect(textOf(await api.stream('Please write 1000 words')).length).toBeGreaterThan(5_000)
  expect((await api.stream('think about it')).some(({ delta }) => delta?.type === 'thinking_delta')).toBe(true)
})

test('asked for a file it calls Write in the CLI’s folder, and says how that went', async () => {
  await using api = await open()
  const cwd = { role: 'system', content: '# Environment\n - Primary working directory: /home/me/project\n' }
  const ask = asked('Create a file src/hello.py')
  const first = toolOf(await api.stream('', { messages: [ask, cwd] }))
  expect(first).toMatchObject({ name: 'Write', input: { file_path: '/home/me/project/src/hello.py' } })
  const after = async (...more: unknown[]) => await api.stream('', { messages: [ask, cwd, called('Write'), ...more] })
  expect(textOf(await after(result('File created')))).toContain('Done: `src/hello.py`')
  expect(textOf(await after(result('The user doesn’t want to proceed: denied', true)))).toContain('was not given')
  expect(textOf(await after(result('Disk full', true)))).toContain('Disk full')
  const unread = [result('File has not been read yet. Read it first', true)]
  expect(toolOf(await after(...unread))).toMatchObject({ name: 'Read' })
  const read = [...unread, called('Read', {}, 'toolu_2'), result('old', false, 'toolu_2')]
  expect(toolOf(await after(...read))).toMatchObject({ name: 'Write' })
})

test('a file outside the folder is not written, whatever the prompt says', async () => {
  await using api = await open()
  for (const prompt of ['create the file ../../etc/x.sh', 'create the file /etc/cron.d/x.sh', 'write a file ..']) {
    const tool = toolOf(await api.stream(prompt, { system: ' - Primary working directory: /w' }))
    expect(tool?.input.file_path).toMatch(/^\/w\/[\w.]+$/)
  }
})

test('asked for a command it calls Bash, and quotes what came back', async () => {
  await using api = await open()
  expect(toolOf(await api.stream('run `echo hi` for me'))).toMatchObject({
    name: 'Bash',
    input: { command: 'echo hi' },
  })
  expect(toolOf(await api.stream('please list the files here'))).toMatchObject({ input: { command: 'ls -la' } })
  const all = [asked('list the files'), called('Bash'), result('a.txt\n```\nb.txt')]
  expect(textOf(await api.stream('', { messages: all }))).toContain('````text\na.txt\n```\nb.txt\n````')
})

test.each([
  ['run ls -la, please', 'ls -la'],
  ['Could you run echo hello world for me?', 'echo hello world'],
  ['open a shell', 'ls -la'],
  ['execute the `npm test` script', 'npm test'],
  ['what is the date? run a command', 'date'],
])('%s: %s', async (prompt, command) => {
  await using api = await open()
  expect(toolOf(await api.stream(prompt))).toMatchObject({ name: 'Bash', input: { command } })
})

test.each(['write a poem, e.g. about .NET', 'explain files', 'hello', 'how do I list users?'])(
  '%s: neither a file nor a command',
  async (prompt) => {
    await using api = await open()
    expect(toolOf(await api.stream(prompt))).toBeNull()
  },
)

test.each([
  ['show me error 401', 401],
  ['give me an error 529', 529],
  ['what about the rate limit', 429],
  ['are you overloaded?', 529],
])('%s: %i', async (prompt, status) => {
  await using api = await open()
  expect((await api.post(messages(prompt))).status).toBe(status)
})

test('side calls get something short, or the JSON that they want', async () => {
  await using api = await open()
  const side = async (prompt: string, more: Record<string, unknown>) =>
    textOf(await api.stream(prompt, { tools: [], ...more }))
  expect((await side('create a file, error 529', {})).length).toBeLessThan(100)
  expect(await side('x @bash(ls)', { system: 'Write a short title' })).toBe('Demo conversation')
  const schema = { type: 'object', properties: { title: { type: 'string' }, isNew: { type: 'boolean' } } }
  expect(JSON.parse(await side('x', { output_config: { format: { type: 'json_schema', schema } } }))).toEqual({
    title: 'Demo conversation',
    isNew: false,
  })
  expect(textOf(await api.stream('Your task is to create a detailed summary of the conversation so far'))).toContain(
    '<summary>',
  )
})

test('a human pace spreads the answer over many writes', async () => {
  await using api = await open(400)
  const sent = request(`${api.url}/v1/messages`, { method: 'POST' }).end(messages('hello'))
  const [answer] = await once(sent, 'response')
  let chunks = 0
  answer.on('data', () => (chunks += 1))
  await text(answer)
  expect(chunks).toBeGreaterThan(3)
})
