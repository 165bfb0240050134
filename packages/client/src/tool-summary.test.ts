import { continueTool } from '@aicm/protocol'
import { expect, test } from 'vitest'
import { approvalQuestion } from './tool-summary.ts'

test('a tool is asked about by its name and what it would do, a cut-off turn in words', () => {
  expect(approvalQuestion({ tool: 'Bash', input: { command: 'ls', description: 'Lists' } })).toBe('Allow Bash: ls?')
  expect(approvalQuestion({ tool: continueTool, input: { question: 'Shall claude go on?' } })).toBe(
    'Shall claude go on?',
  )
})
