/**
 * Every setting of the server, in one table: flags, environment, --help and the README are made from it.
 * `secret` ones have no flag: what stands in a command line can be read by every user of the machine.
 */
export type OptionSpec = {
  flag?: string
  env: string
  value: string
  default?: string
  doc: string
  secret?: true
  /** May be given several times; in the environment separated by `:`. */
  many?: true
}

export const optionTable = {
  host: { flag: '--host', env: 'AICM_HOST', value: 'ADDRESS', default: '127.0.0.1', doc: 'Address to listen on.' },
  port: {
    flag: '--port',
    env: 'AICM_PORT',
    value: 'NUMBER',
    default: '2426',
    doc: 'Port to listen on; 0 takes any free one and prints it.',
  },
  dataDir: {
    flag: '--data-dir',
    env: 'AICM_DATA_DIR',
    value: 'FOLDER',
    default: '$XDG_STATE_HOME/aicm, else ~/.local/state/aicm',
    doc: 'Where everything is kept: database, journals, workspaces.',
  },
  fallbackDataDir: {
    flag: '--fallback-data-dir',
    env: 'AICM_FALLBACK_DATA_DIR',
    value: 'FOLDER',
    doc: 'On another disk: takes what sessions say while the database cannot be written, until it is merged back.',
  },
  claude: {
    flag: '--claude',
    env: 'AICM_CLAUDE_PATH',
    value: 'PROGRAM',
    default: 'claude on PATH, else the bundled one',
    doc: 'The Claude Code CLI to run.',
  },
  modelApi: {
    flag: '--model-api',
    env: 'AICM_MODEL_API',
    value: 'live|demo',
    default: 'live with a credential, else demo',
    doc: 'What the CLI talks to: the real model API, or a built-in scripted one that needs no credential.',
  },
  workspaceRoots: {
    flag: '--workspace-root',
    env: 'AICM_WORKSPACE_ROOTS',
    value: 'FOLDER',
    many: true,
    doc: 'A folder whose subfolders may be used as workspaces where they are. Can be given several times.',
  },
  allowedOrigins: {
    flag: '--allow-origin',
    env: 'AICM_ALLOWED_ORIGINS',
    value: 'ORIGIN',
    many: true,
    doc: 'Another web origin that may use the API from a browser, e.g. https://aicm.example.org. Can be given several times (comma-separated in the environment).',
  },
  logLevel: {
    flag: '--log-level',
    env: 'AICM_LOG_LEVEL',
    value: 'debug|info|warn|error',
    default: 'info',
    doc: 'What goes to the log (JSON lines, <data-dir>/server.log).',
  },
  adminPassword: {
    env: 'AICM_ADMIN_PASSWORD',
    value: 'PASSWORD',
    secret: true,
    default: 'a random one, printed once',
    doc: 'Password of the first user, admin. Read on the first start only.',
  },
  apiKey: { env: 'ANTHROPIC_API_KEY', value: 'KEY', secret: true, doc: 'Credential for the model API.' },
  authToken: {
    env: 'ANTHROPIC_AUTH_TOKEN',
    value: 'TOKEN',
    secret: true,
    doc: 'Credential for the model API or a gateway, sent as a Bearer token.',
  },
  oauthToken: {
    env: 'CLAUDE_CODE_OAUTH_TOKEN',
    value: 'TOKEN',
    secret: true,
    doc: "A subscription's token (claude setup-token).",
  },
  upstream: {
    env: 'ANTHROPIC_BASE_URL',
    value: 'URL',
    default: 'https://api.anthropic.com',
    doc: 'Where the real model API is.',
  },
} as const satisfies Record<string, OptionSpec>

export type OptionName = keyof typeof optionTable
