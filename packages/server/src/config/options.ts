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
  /** May be given several times; in the environment separated by this. */
  many?: ':' | ','
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
    many: ':',
    doc: 'A folder whose subfolders may be used as workspaces where they are. Can be given several times.',
  },
  allowedOrigins: {
    flag: '--allow-origin',
    env: 'AICM_ALLOWED_ORIGINS',
    value: 'ORIGIN',
    many: ',',
    doc: 'Another web origin that may use the API from a browser, e.g. https://aicm.example.org. Can be given several times (comma-separated in the environment).',
  },
  tlsCert: {
    flag: '--tls-cert',
    env: 'AICM_TLS_CERT',
    value: 'FILE',
    doc: 'Certificate (PEM, with the chain): the server speaks HTTPS then, HTTP/2 too. Read again when the file changes.',
  },
  tlsKey: { flag: '--tls-key', env: 'AICM_TLS_KEY', value: 'FILE', doc: 'Its private key (PEM).' },
  insecureHttp: {
    flag: '--insecure-http',
    env: 'AICM_INSECURE_HTTP',
    value: '1',
    toggle: true,
    default: '0',
    doc: 'Listen on an address that others can reach without TLS: behind something that speaks TLS, on a network of its own.',
  },
  trustedProxies: {
    flag: '--trusted-proxy',
    env: 'AICM_TRUSTED_PROXIES',
    value: 'NETWORK',
    many: ',',
    doc: 'A reverse proxy in front of the server (an address, or a network like 10.0.0.0/8): what it says in X-Forwarded-For or Forwarded is where a request comes from. Can be given several times (comma-separated in the environment).',
  },
  rateLimits: {
    flag: '--rate-limit',
    env: 'AICM_RATE_LIMITS',
    value: 'LIMIT',
    many: ',',
    default: 'read=600/100, write=200/20, execute=100/10, stream=1200/50, login=30/0.5, failure=200/2',
    doc: 'How many requests of a class a user may send at once, and how many a second after that; an address may send five times as many. `login` is tries of a password from one network, `failure` answers 401, 404 and 429 before their source is blocked. `off` sets none. Can be given several times (comma-separated in the environment).',
  },
  quotas: {
    flag: '--quota',
    env: 'AICM_QUOTAS',
    value: 'QUOTA',
    many: ',',
    default: 'sessions=1000, processes=off, prompts=1000, connections=1000, bytes=50g',
    doc: 'What a user may have at a time: open sessions, live processes, queued prompts, WebSockets, stored bytes (log and workspaces). `off` sets none. Can be given several times (comma-separated in the environment), and differently for a user: PUT /v1/users/{id}/quotas.',
  },
  requestTimeout: {
    flag: '--request-timeout',
    env: 'AICM_REQUEST_TIMEOUT',
    value: 'TIME',
    default: '60s',
    doc: 'In which a whole request must have come; a third of it for its headers.',
  },
  maxConnections: {
    flag: '--max-connections',
    env: 'AICM_MAX_CONNECTIONS',
    value: 'NUMBER',
    default: 'three quarters of the files that may be open',
    doc: 'How many connections there may be at once; more are closed as they come.',
  },
  maxConnectionsOfAddress: {
    flag: '--max-connections-per-address',
    env: 'AICM_MAX_CONNECTIONS_PER_ADDRESS',
    value: 'NUMBER',
    default: '2000',
    doc: 'How many of them from one address (IPv6: one /64), proxies that are trusted left out.',
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
  oauthOwner: {
    flag: '--oauth-owner',
    env: 'AICM_OAUTH_OWNER',
    value: 'USER',
    default: 'admin',
    doc: "Whose sessions that subscription's token serves: a subscription is for one person.",
  },
  oauthTokenUrl: {
    flag: '--oauth-token-url',
    env: 'AICM_OAUTH_TOKEN_URL',
    value: 'URL',
    doc: "Where users' subscription tokens are renewed with their refresh tokens. Without it only long-lived ones are taken.",
  },
  oauthClientId: {
    flag: '--oauth-client-id',
    env: 'AICM_OAUTH_CLIENT_ID',
    value: 'ID',
    doc: 'Who asks there.',
  },
  secretKeyFile: {
    flag: '--secret-key-file',
    env: 'AICM_SECRET_KEY_FILE',
    value: 'FILE',
    default: '<data-dir>/secret.key, made at the first start',
    doc: 'The key that stored credentials are encrypted with (32 bytes, raw, hex or base64). Keep it elsewhere than the data folder, or a copy of that folder opens them.',
  },
  secretKey: {
    env: 'AICM_SECRET_KEY',
    value: 'KEY',
    secret: true,
    doc: 'The same key, as hex or base64.',
  },
  prices: {
    flag: '--prices',
    env: 'AICM_PRICES',
    value: 'FILE',
    doc: 'JSON with prices of models over the built-in ones, in USD per million tokens (docs/broker.md).',
  },
  upstream: {
    env: 'ANTHROPIC_BASE_URL',
    value: 'URL',
    default: 'https://api.anthropic.com',
    doc: 'Where the real model API is.',
  },
} as const satisfies Record<string, OptionSpec>

export type OptionName = keyof typeof optionTable
