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
  /** Without a value; in the environment 1 or 0. */
  toggle?: true
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
  idleTimeout: {
    flag: '--idle-timeout',
    env: 'AICM_IDLE_TIMEOUT',
    value: 'TIME',
    default: '15m',
    doc: 'A session that rests for so long gives its process back; the next prompt resumes it. `never` keeps it. (Times: 90s, 15m, 12h, 30d.)',
  },
  sessionTimeout: {
    flag: '--session-timeout',
    env: 'AICM_SESSION_TIMEOUT',
    value: 'TIME',
    default: 'never',
    doc: 'A session that nobody used for so long is closed.',
  },
  maxProcesses: {
    flag: '--max-processes',
    env: 'AICM_MAX_PROCESSES',
    value: 'NUMBER',
    default: 'one for each 256 MB of memory',
    doc: 'How many claude processes may live at once. Resting ones make room for wanted ones; who waits is served in turn by user.',
  },
  memoryReserve: {
    flag: '--memory-reserve',
    env: 'AICM_MEMORY_RESERVE',
    value: 'MB',
    default: 'a twentieth of the memory, at most 512',
    doc: 'With less memory left than this, resting processes are ended and new sessions refused.',
  },
  warmMin: {
    flag: '--warm-min',
    env: 'AICM_WARM_MIN',
    value: 'NUMBER',
    default: '1',
    doc: 'How many processes are started ahead for each kind of session (user, settings, workspace) that was created in the last 15 minutes: the next one answers sooner. 0 starts none.',
  },
  warmMax: {
    flag: '--warm-max',
    env: 'AICM_WARM_MAX',
    value: 'NUMBER',
    default: '4',
    doc: 'How many there are at most, for all kinds together. They make room for whatever is wanted.',
  },
  turnTimeout: {
    flag: '--turn-timeout',
    env: 'AICM_TURN_TIMEOUT',
    value: 'TIME',
    default: '10m',
    doc: 'A turn in which claude says nothing for so long, while no tool runs, nobody is asked and the model sends nothing, is taken for hanging: claude is ended and resumed.',
  },
  toolTimeout: {
    flag: '--tool-timeout',
    env: 'AICM_TOOL_TIMEOUT',
    value: 'TIME',
    default: '2h',
    doc: 'The same while a tool runs.',
  },
  startTimeout: {
    flag: '--start-timeout',
    env: 'AICM_START_TIMEOUT',
    value: 'TIME',
    default: '3m',
    doc: 'How long claude may take from its start until it takes prompts.',
  },
  retryBaseDelay: {
    flag: '--retry-base-delay',
    env: 'AICM_RETRY_BASE_DELAY',
    value: 'TIME',
    default: '200ms',
    doc: 'A claude that ended by itself is replaced at once; if that fails too, after this time, which grows from try to try.',
  },
  retryMaxDelay: {
    flag: '--retry-max-delay',
    env: 'AICM_RETRY_MAX_DELAY',
    value: 'TIME',
    default: '30s',
    doc: 'The longest time between two tries.',
  },
  retryFactor: {
    flag: '--retry-factor',
    env: 'AICM_RETRY_FACTOR',
    value: 'NUMBER',
    default: '3',
    doc: 'How the time between two tries grows.',
  },
  maxRetries: {
    flag: '--max-retries',
    env: 'AICM_MAX_RETRIES',
    value: 'NUMBER',
    default: '5',
    doc: 'After so many failures in a row a session is closed, with the cause.',
  },
  continueTurns: {
    flag: '--continue',
    env: 'AICM_CONTINUE',
    value: 'auto|ask|never',
    default: 'auto',
    doc: 'What becomes of a turn that was cut off after tools had run: claude goes on (asking first where a tool may have run in part), it asks, or the turn ends.',
  },
  stopSessions: {
    flag: '--stop-sessions',
    env: 'AICM_STOP_SESSIONS',
    value: '1',
    toggle: true,
    default: '0',
    doc: "When the server is stopped, its sessions' processes are ended too. Else they go on, and the next server takes them over.",
  },
  logLevel: {
    flag: '--log-level',
    env: 'AICM_LOG_LEVEL',
    value: 'debug|info|warn|error',
    default: 'info',
    doc: 'What goes to the log (JSON lines, <data-dir>/server.log).',
  },
  healthInterval: {
    flag: '--health-interval',
    env: 'AICM_HEALTH_INTERVAL',
    value: 'SECONDS',
    default: '15',
    doc: 'How often the server looks after its own health in the background, at least 1. Changes are logged, and told to all WebSocket clients.',
  },
  oidcIssuer: {
    flag: '--oidc-issuer',
    env: 'AICM_OIDC_ISSUER',
    value: 'URL',
    doc: 'People may log in by this OpenID provider: its issuer identifier, without /.well-known. See docs/accounts.md.',
  },
  oidcClientId: {
    flag: '--oidc-client-id',
    env: 'AICM_OIDC_CLIENT_ID',
    value: 'ID',
    doc: 'What this server is called at the provider.',
  },
  oidcClientSecret: {
    env: 'AICM_OIDC_CLIENT_SECRET',
    value: 'SECRET',
    secret: true,
    doc: 'Its secret there; none for a public client.',
  },
  oidcRoles: {
    flag: '--oidc-role',
    env: 'AICM_OIDC_ROLES',
    value: 'GROUP=ROLE',
    many: true,
    doc: 'Who is in this group of the provider has this role (viewer, member, admin) here, the strongest of several; `*` is everybody else. Others are refused. Can be given several times (comma-separated in the environment).',
  },
  oidcGroupsClaim: {
    flag: '--oidc-groups-claim',
    env: 'AICM_OIDC_GROUPS_CLAIM',
    value: 'NAME',
    default: 'groups',
    doc: "The claim that lists a user's groups.",
  },
  oidcScopes: {
    flag: '--oidc-scopes',
    env: 'AICM_OIDC_SCOPES',
    value: 'SCOPES',
    default: 'openid profile email',
    doc: 'What the provider is asked for, separated by spaces.',
  },
  oidcUrl: {
    flag: '--oidc-url',
    env: 'AICM_OIDC_URL',
    value: 'ORIGIN',
    default: 'the address that the browser has used',
    doc: 'Where browsers find this server, e.g. https://aicm.example.org: the provider sends them back there. Set it behind a proxy.',
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
