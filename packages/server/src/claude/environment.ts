/**
 * The whole environment of a claude process. It is built here, name by name: nothing of the server's own is passed on.
 * The token is the session's own for our broker; the real credential never gets near the child.
 */
export const claudeEnvironment = (options: {
  home: string
  tmp: string
  path: string
  brokerSocket: string
  token: string
  marker: { name: string; value: string }
}): Record<string, string> => ({
  PATH: options.path,
  HOME: options.home,
  CLAUDE_CONFIG_DIR: `${options.home}/.claude`,
  TMPDIR: options.tmp,
  CLAUDE_CODE_TMPDIR: options.tmp,
  USER: 'agent',
  LOGNAME: 'agent',
  SHELL: '/bin/sh',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
  ANTHROPIC_UNIX_SOCKET: options.brokerSocket,
  ANTHROPIC_BASE_URL: 'http://localhost',
  ANTHROPIC_API_KEY: options.token,
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: '1',
  DISABLE_AUTOUPDATER: '1',
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
  [options.marker.name]: options.marker.value,
})
