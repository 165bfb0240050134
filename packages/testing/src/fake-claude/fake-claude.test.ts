import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { recordings } from '../recordings.ts'
import { tempDir } from '../temp-dir.ts'
import { fakeTokens, installFakeClaude } from './install.ts'

type Line = Record<string, unknown> & { type: string }

const streaming = ['-p', '--input-format=stream-json', '--output-format=stream-json', '--verbose']

/** Runs it with these lines as its input, to their end. */
const run = async (dir: string, args: string[], input: string[] = []) => {
  const env = { PATH: '/usr/bin:/bin', HOME: dir, CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: '1' }
  const child = spawn(installFakeClaude(dir), args, { cwd: dir, env })
  child.stdin.on('error', () => {})
  child.stdin.end(input.map((line) => `${line}\n`).join(''))
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((resolve) => child.on('close', (code, signal) => resolve(signal ?? code))),
  ])
  return {
    stdout,
    stderr,
    code,
    lines: () =>
      stdout
        .trimEnd()
        .split('\n')
        .map((line): Line => JSON.parse(line)),
  }
}

const prompt = (uuid: string, content: string): string =>
  JSON.stringify({ type: 'user', uuid, message: { role: 'user', content: [{ type: 'text', text: content }] } })
const control = (subtype: string): string =>
  JSON.stringify({ type: 'control_request', request_id: subtype, request: { subtype } })

/** Everything that a line can be told by, and the names of its fields. */
const shapeOf = (line: Line): [string, string[]] => {
  const event = line.type === 'stream_event' && typeof line.event === 'object' && line.event !== null ? line.event : {}
  const kind = [
    line.type,
    line.subtype ?? line.state,
    'type' in event ? event.type : '',
    line.isReplay === true ? 'replay' : '',
  ]
  return [kind.join(' '), Object.keys(line)]
}

test('each line that it says has a like in the recordings of the real one, with no field of its own', async () => {
  const real = new Map<string, Set<string>>()
  for (const line of [...recordings().values()].flatMap((recording) => recording.trimEnd().split('\n'))) {
    const [kind, fields] = shapeOf(JSON.parse(line))
    real.set(kind, (real.get(kind) ?? new Set()).union(new Set(fields)))
  }
  await using dir = await tempDir()
  const input = [control('initialize'), prompt('1', '@think(3) @tokens(5) @error(429)'), prompt('2', 'hello')]
  const { lines, code } = await run(dir.path, [...streaming, '--session-id=1'], input)
  expect(code).toBe(0)
  for (const [kind, fields] of lines().map(shapeOf)) {
    expect([...real.keys()]).toContain(kind)
    expect([...(real.get(kind) ?? [])], kind).toEqual(expect.arrayContaining(fields))
  }
})

test('a prompt is queued, started, answered in pieces that make the whole, and completed', async () => {
  await using dir = await tempDir()
  const { lines } = await run(
    dir.path,
    [...streaming, '--session-id=1'],
    [prompt('1', '@tokens(3000)'), prompt('2', '@lines(2)')],
  )
  const told = lines().flatMap((line) =>
    line.type === 'command_lifecycle' ? [`${line.command_uuid} ${line.state}`] : [],
  )
  expect(told.toSorted()).toEqual(['1 completed', '1 queued', '1 started', '2 completed', '2 queued', '2 started'])
  const pieces = [...JSON.stringify(lines()).matchAll(/"type":"text_delta","text":"([^"]*)"/g)].map(
    ([, piece]) => piece,
  )
  expect(pieces.join('')).toBe(fakeTokens(3000))
  expect(lines().filter(({ type }) => type === 'result')).toMatchObject([
    { result: fakeTokens(3000) },
    { result: 'line 1' },
  ])
})

test('a conversation is created once, resumed only when it is there, and knows its prompts', async () => {
  await using dir = await tempDir()
  await run(dir.path, [...streaming, '--session-id=1'], [prompt('1', '@text(once)')])
  expect(await run(dir.path, [...streaming, '--session-id=1'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('already in use'),
  })
  expect(await run(dir.path, [...streaming, '--resume=2'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('No conversation found'),
  })
  const { stdout } = await run(
    dir.path,
    [...streaming, '--resume=1'],
    [prompt('1', '@text(once)'), prompt('2', '@text(next)')],
  )
  expect(stdout.match(/"state":"[a-z]+"/g)).toEqual(
    ['completed', 'queued', 'running', 'started', 'completed', 'idle'].map((state) => `"state":"${state}"`),
  )
  expect(stdout).not.toContain('once')
})

test('what was cut off before a block was whole runs again, what was cut off later does not', async () => {
  await using dir = await tempDir()
  const early = prompt('1', '@tokens(3) @crash-once(9)')
  expect((await run(dir.path, [...streaming, '--session-id=1'], [early])).code).toBe(9)
  expect((await run(dir.path, [...streaming, '--resume=1'], [early])).stdout).toContain('tok0 tok1 tok2')
  const late = prompt('2', '@text(said) @crash-once(SIGKILL) @text(never)')
  expect((await run(dir.path, [...streaming, '--resume=1'], [late])).code).toBe('SIGKILL')
  const { lines } = await run(dir.path, [...streaming, '--resume=1'], [late])
  expect(lines()).toMatchObject([{ type: 'command_lifecycle', command_uuid: '2', state: 'completed' }])
})

test('it knows its version, refuses what it does not know, and dies of a line that is no JSON', async () => {
  await using dir = await tempDir()
  expect(await run(dir.path, ['--version'])).toMatchObject({ code: 0, stdout: '2.1.330 (Claude Code)\n' })
  expect(await run(dir.path, [...streaming, '--colour'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('--colour'),
  })
  expect(await run(dir.path, streaming, ['half a li'])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Error parsing'),
  })
  const { lines } = await run(dir.path, streaming, [control('telepathy')])
  expect(lines()).toMatchObject([
    { type: 'control_response', response: { subtype: 'error', error_code: 'unsupported_request' } },
  ])
})
