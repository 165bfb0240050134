import fc from 'fast-check'
import { expect, test } from 'vitest'
import { claudeArgv, type ClaudeSettings } from './argv.ts'

const settings: ClaudeSettings = { model: null, permissionMode: 'default', systemPrompt: null, maxTurns: null }
const create = { create: '00000000-0000-4000-8000-000000000000' }

test('it speaks JSON lines both ways, asks before it uses tools, and shows its text while it grows', () => {
  const argv = claudeArgv(settings, create)
  expect(argv).toEqual(
    expect.arrayContaining([
      '-p',
      '--input-format=stream-json',
      '--output-format=stream-json',
      '--include-partial-messages',
      '--permission-prompt-tool=stdio',
      '--permission-mode=default',
      `--session-id=${create.create}`,
    ]),
  )
  expect(argv.join(' ')).not.toMatch(/--resume|--model|--append-system-prompt|--max-turns|dangerously/)
})

test('a conversation that exists is resumed, not created', () => {
  const argv = claudeArgv(settings, { resume: 'abc' })
  expect(argv).toContain('--resume=abc')
  expect(argv.join(' ')).not.toContain('--session-id')
})

test('what a user chose is never an argument of its own, whatever it begins with', () => {
  const flags = claudeArgv(settings, create)
  const chosen = fc.string({ minLength: 1 }).map((text) => `--dangerously-skip-permissions\n-p ${text}`)
  fc.assert(
    fc.property(chosen, chosen, fc.integer({ min: 1, max: 10_000 }), (model, systemPrompt, maxTurns) => {
      const argv = claudeArgv({ ...settings, model, systemPrompt, maxTurns }, create)
      expect(argv).toEqual([
        ...flags,
        `--model=${model}`,
        `--append-system-prompt=${systemPrompt}`,
        `--max-turns=${maxTurns}`,
      ])
    }),
  )
})

test("the operator's rules for tools are each an argument", () => {
  const tools = { allowedTools: ['Read', 'Bash(git log:*)'], disallowedTools: ['--model=x'] }
  expect(claudeArgv(settings, create, { tools })).toEqual([
    ...claudeArgv(settings, create),
    ...['--allowedTools=Read', '--allowedTools=Bash(git log:*)', '--disallowedTools=--model=x'],
  ])
})

test('inside our walls its own sandbox is off, whatever the settings of a workspace say', () => {
  const sealed = claudeArgv(settings, create, { sealed: true }).find((argument) => argument.startsWith('--settings='))
  expect(sealed).toContain('"sandbox":{"enabled":false}')
  expect(claudeArgv(settings, create).join(' ')).not.toContain('sandbox')
})
