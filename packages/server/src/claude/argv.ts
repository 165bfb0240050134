import type { PermissionMode } from '@aicm/protocol'

export type ClaudeSettings = {
  model: string | null
  permissionMode: PermissionMode
  systemPrompt: string | null
  maxTurns: number | null
}

/**
 * claude's arguments. A value that a user chose always follows its flag in one argument (`--flag=value`), so that none can
 * be taken for a flag of its own. The conversation is a new one with our id, or one to resume.
 */
export const claudeArgv = (
  settings: ClaudeSettings,
  conversation: { resume: string } | { create: string },
): string[] => [
  '-p',
  '--input-format=stream-json',
  '--output-format=stream-json',
  '--verbose',
  '--include-partial-messages',
  '--permission-prompt-tool=stdio',
  `--permission-mode=${settings.permissionMode}`,
  ...('resume' in conversation ? [`--resume=${conversation.resume}`] : [`--session-id=${conversation.create}`]),
  ...(settings.model === null ? [] : [`--model=${settings.model}`]),
  ...(settings.systemPrompt === null ? [] : [`--append-system-prompt=${settings.systemPrompt}`]),
  ...(settings.maxTurns === null ? [] : [`--max-turns=${settings.maxTurns}`]),
]
