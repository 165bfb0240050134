import type { Confinement, PermissionMode } from '@aicm/protocol'

export type ClaudeSettings = {
  model: string | null
  permissionMode: PermissionMode
  systemPrompt: string | null
  maxTurns: number | null
}

/** The operator's, for the workspace. */
export type ToolRules = Pick<Confinement, 'allowedTools' | 'disallowedTools'>

/** claude deletes conversations after thirty days by itself; a session of ours is kept until it is deleted here. */
const serverSettings = { cleanupPeriodDays: 36_500 }
/** Its own sandbox, for its Bash tool only, cannot be built inside ours, whatever the settings of a workspace say. */
const sealedSettings = { ...serverSettings, sandbox: { enabled: false } }

/**
 * claude's arguments. A value that a user chose always follows its flag in one argument (`--flag=value`), so that none can
 * be taken for a flag of its own. The conversation is a new one with our id, or one to resume.
 */
export const claudeArgv = (
  settings: ClaudeSettings,
  conversation: { resume: string } | { create: string },
  { sealed = false, tools }: { sealed?: boolean; tools?: ToolRules | undefined } = {},
): string[] => [
  '-p',
  '--input-format=stream-json',
  '--output-format=stream-json',
  '--verbose',
  '--include-partial-messages',
  '--permission-prompt-tool=stdio',
  `--settings=${JSON.stringify(sealed ? sealedSettings : serverSettings)}`,
  `--permission-mode=${settings.permissionMode}`,
  ...('resume' in conversation ? [`--resume=${conversation.resume}`] : [`--session-id=${conversation.create}`]),
  ...(settings.model === null ? [] : [`--model=${settings.model}`]),
  ...(settings.systemPrompt === null ? [] : [`--append-system-prompt=${settings.systemPrompt}`]),
  ...(settings.maxTurns === null ? [] : [`--max-turns=${settings.maxTurns}`]),
  ...(tools?.allowedTools ?? []).map((rule) => `--allowedTools=${rule}`),
  ...(tools?.disallowedTools ?? []).map((rule) => `--disallowedTools=${rule}`),
]
