import { Type, type Static } from 'typebox'

/**
 * Every refusal the server can give, in one table. A code is never reused for another meaning.
 * `status` is the HTTP status; `retryable` says whether the same request may succeed later; `hint` is the default advice.
 */
export const errorTable = {
  invalid_request: { status: 400, retryable: false, hint: 'Compare the request with /openapi.json.' },
  invalid_json: { status: 400, retryable: false, hint: 'Send a JSON document with Content-Type: application/json.' },
  invalid_cursor: {
    status: 400,
    retryable: false,
    hint: 'Use a cursor that this server gave you, or leave it out to start at the beginning.',
  },
  unauthorized: {
    status: 401,
    retryable: false,
    hint: 'Log in (POST /v1/auth/login) and send Authorization: Bearer <accessToken>.',
  },
  invalid_credentials: { status: 401, retryable: false, hint: 'Check the user name and the password.' },
  invalid_refresh_token: { status: 401, retryable: false, hint: 'Log in again (POST /v1/auth/login).' },
  refresh_token_reused: {
    status: 401,
    retryable: false,
    hint: 'A refresh token works once. Used again it may have been stolen, so this login has ended: log in again.',
  },
  invalid_ticket: {
    status: 401,
    retryable: false,
    hint: 'Ask for a new ticket (POST /v1/auth/ticket); each works once, for 30 seconds.',
  },
  oidc_failed: {
    status: 401,
    retryable: false,
    hint: 'Start the log-in again, in one browser. If it stays, the audit log has the reason.',
  },
  invalid_oidc_code: {
    status: 401,
    retryable: false,
    hint: 'Start the log-in again: a code works once, not for long, and for the browser or program that started it.',
  },
  password_change_required: {
    status: 403,
    retryable: false,
    hint: 'Choose a password of your own (POST /v1/auth/password, or aicm passwd): until then nothing else is answered.',
  },
  oidc_no_role: {
    status: 403,
    retryable: false,
    hint: 'Ask whoever runs the provider to put you into a group that may log in here (--oidc-role).',
  },
  account_disabled: { status: 403, retryable: false, hint: 'Ask an administrator.' },
  forbidden: { status: 403, retryable: false, hint: 'Ask an administrator for access.' },
  subscription_owner_only: {
    status: 403,
    retryable: false,
    hint: "A subscription pays for its owner's prompts alone. Use a session of your own, or have its owner (or an administrator, for all) add an API key: aicm credentials add.",
  },
  origin_forbidden: {
    status: 403,
    retryable: false,
    hint: 'Open the page from the server itself, or have the operator allow this origin.',
  },
  path_outside_roots: {
    status: 403,
    retryable: false,
    hint: 'The operator lists the allowed folders with --workspace-root.',
  },
  limit_too_high: {
    status: 403,
    retryable: false,
    hint: 'See GET /v1/limits for what you may have. An administrator may give more: PUT /v1/users/{id}/limits.',
  },
  not_found: { status: 404, retryable: false, hint: 'See /docs for what exists.' },
  session_not_found: { status: 404, retryable: false, hint: 'List your sessions with GET /v1/sessions.' },
  workspace_not_found: { status: 404, retryable: false, hint: 'List your workspaces with GET /v1/workspaces.' },
  credential_not_found: { status: 404, retryable: false, hint: 'List your credentials with GET /v1/credentials.' },
  approval_not_found: { status: 404, retryable: false, hint: 'List open approvals with GET /v1/approvals.' },
  user_not_found: { status: 404, retryable: false, hint: 'Check the name; administrators see all: GET /v1/users.' },
  login_not_found: { status: 404, retryable: false, hint: 'List your logins with GET /v1/auth/logins.' },
  key_not_found: { status: 404, retryable: false, hint: 'List your API keys with GET /v1/keys.' },
  file_not_found: { status: 404, retryable: false, hint: 'List the folder: GET /v1/workspaces/{id}/files?path=.' },
  file_not_permitted: {
    status: 403,
    retryable: false,
    hint: 'Its permissions keep the owner of the workspace out, too. A session of theirs may be able to change them.',
  },
  path_is_link: {
    status: 409,
    retryable: false,
    hint: 'Links are not followed. A listing tells where they point; use that path if it is inside the workspace.',
  },
  not_a_file: { status: 409, retryable: false, hint: 'Only files have content. Name a file.' },
  not_a_folder: { status: 409, retryable: false, hint: 'Name a folder.' },
  file_exists: { status: 409, retryable: false, hint: 'Choose another name, or remove what is there.' },
  folder_not_empty: { status: 409, retryable: false, hint: 'Remove what is in it first.' },
  method_not_allowed: { status: 405, retryable: false, hint: 'See /docs for the methods of this address.' },
  request_timeout: { status: 408, retryable: true, hint: 'Send the whole request in less time.' },
  session_closed: { status: 409, retryable: false, hint: 'A closed session stays closed. Start a new one.' },
  turn_conflict: { status: 409, retryable: false, hint: 'This id was used for another prompt. Send a new UUID.' },
  no_turn_running: { status: 409, retryable: false, hint: 'There is nothing to interrupt.' },
  approval_already_answered: { status: 409, retryable: false, hint: 'The first answer counts.' },
  user_exists: { status: 409, retryable: false, hint: 'Choose another name.' },
  last_admin: { status: 409, retryable: false, hint: 'Make somebody else an administrator first.' },
  workspace_exists: { status: 409, retryable: false, hint: 'Choose another name, or use the existing workspace.' },
  workspace_in_use: { status: 409, retryable: false, hint: 'Close or delete the sessions in it first.' },
  workspace_not_ready: { status: 409, retryable: true, hint: 'Wait until the workspace status is "ready".' },
  precondition_failed: {
    status: 412,
    retryable: false,
    hint: 'Read it again, and send its new ETag in If-Match.',
  },
  payload_too_large: { status: 413, retryable: false, hint: 'Send less at once.' },
  unsupported_media_type: { status: 415, retryable: false, hint: 'Use Content-Type: application/json.' },
  range_not_satisfiable: { status: 416, retryable: false, hint: 'Content-Range has the size of the file.' },
  misdirected_request: {
    status: 421,
    retryable: false,
    hint: 'Use the address that the server prints at start, or have the operator add this host.',
  },
  queue_full: { status: 429, retryable: true, hint: 'Wait until queued prompts have run.' },
  quota_exceeded: {
    status: 429,
    retryable: true,
    hint: 'See GET /v1/quotas for what you have and may have. Close or delete what you no longer need, or ask an administrator for more.',
  },
  too_many_requests: { status: 429, retryable: true, hint: 'Slow down and retry after the time in Retry-After.' },
  isolation_unavailable: {
    status: 503,
    retryable: false,
    hint: 'The operator sees in `aicm health` which isolation works here, and what more would need.',
  },
  internal: { status: 500, retryable: true, hint: 'Look for the request id in the server log.' },
  oidc_unavailable: {
    status: 503,
    retryable: true,
    hint: 'Retry later, or log in with a password. The server log has the reason.',
  },
  files_unavailable: {
    status: 503,
    retryable: true,
    hint: 'Retry. If it stays, the operator finds the reason in the server log (docs/files.md).',
  },
  claude_unavailable: {
    status: 503,
    retryable: true,
    hint: 'See GET /v1/health; set --claude or install the claude CLI.',
  },
  out_of_capacity: {
    status: 503,
    retryable: true,
    hint: 'Retry after the time in Retry-After, or close sessions that you no longer need.',
  },
  not_ready: { status: 503, retryable: true, hint: 'The server is starting or stopping. Retry in a second.' },
  storage_unavailable: { status: 503, retryable: true, hint: 'Nothing was accepted. Retry later.' },
  storage_full: { status: 507, retryable: true, hint: 'The disk is full. Nothing was accepted.' },
} as const satisfies Record<string, { status: number; retryable: boolean; hint: string }>

export type ErrorCode = keyof typeof errorTable

/** The body of every refusal, over HTTP and in a WebSocket `error` message. */
export const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.String({ description: 'Stable, from one table' }),
    message: Type.String(),
    hint: Type.Optional(Type.String()),
    requestId: Type.String(),
    retryAfter: Type.Optional(Type.Integer({ description: 'Seconds, as in the header Retry-After' })),
  }),
})
export type ErrorBody = Static<typeof ErrorBody>
