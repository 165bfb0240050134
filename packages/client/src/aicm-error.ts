import { errorTable, type ErrorBody, type ErrorCode } from '@aicm/protocol'

/**
 * The server's codes, and the client's own: `unreachable` (no connection), `untrusted_certificate`, `unexpected_answer` (something else than the
 * server answered), `protocol_mismatch`, `stream_gap` (messages are missing and asking again did not help),
 * `read_too_slowly` (cut off by the policy `disconnect`; in the state of the connection only), `client_closed`.
 */
export type AicmErrorCode =
  | ErrorCode
  | 'unreachable'
  | 'untrusted_certificate'
  | 'unexpected_answer'
  | 'protocol_mismatch'
  | 'stream_gap'
  | 'read_too_slowly'
  | 'client_closed'

export type AicmErrorFields = {
  /** Open-ended: a newer server may know more codes than `AicmErrorCode` lists. */
  code: AicmErrorCode | (string & {})
  message: string
  hint?: string
  /** HTTP status; 0 where there was no answer. */
  status?: number
  requestId?: string
  /** Seconds to wait before trying again, when the server said so. */
  retryAfter?: number
  cause?: unknown
}

/** Every refusal and failure of the SDK: `code` for programs, `message` and `hint` for people. */
export class AicmError extends Error {
  override readonly name = 'AicmError'
  readonly code: AicmErrorFields['code']
  readonly hint: string | undefined
  readonly status: number
  readonly requestId: string | undefined
  readonly retryAfter: number | undefined

  constructor({ code, message, hint, status = 0, requestId, retryAfter, cause }: AicmErrorFields) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.hint = hint
    this.status = status
    this.requestId = requestId
    this.retryAfter = retryAfter
  }
}

/** Whether trying the same again, later, is all there is to do: no connection, a restarting server, a busy one. */
export const isTransient = (error: unknown): error is AicmError =>
  error instanceof AicmError &&
  (error.code === 'unreachable' ||
    error.code === 'not_ready' ||
    error.code === 'storage_unavailable' ||
    error.code === 'too_many_requests' ||
    [429, 502, 503, 504].includes(error.status)) &&
  error.code !== 'queue_full' &&
  error.code !== 'quota_exceeded' &&
  error.code !== 'claude_unavailable'

const isKnown = (code: string): code is ErrorCode => Object.hasOwn(errorTable, code)

/** The refusal of a WebSocket request, with the status it would have had over HTTP. */
export const refusalError = (error: ErrorBody['error']): AicmError =>
  new AicmError({ ...error, status: isKnown(error.code) ? errorTable[error.code].status : 0 })
