import { errorTable, type ErrorBody, type ErrorCode } from '@aicm/protocol'

/**
 * The one error class of the server. `code` picks status, retryability and the default hint from the protocol's table;
 * `message` is shown to the client, so it must hold no secret. What caused it goes to the log only.
 */
export class AppError extends Error {
  readonly code: ErrorCode
  readonly hint: string
  /** Seconds, for the Retry-After header. */
  readonly retryAfter: number | undefined
  /** More headers of its answer over HTTP. */
  readonly headers: Readonly<Record<string, string>>
  /** Whom and what a refusal is about, where who asks does not say so. Not for whoever asks. */
  readonly about: { userId: string; username: string; target: string } | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      hint?: string
      cause?: unknown
      retryAfter?: number
      headers?: Readonly<Record<string, string>>
      about?: { userId: string; username: string; target: string }
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.hint = options.hint ?? errorTable[code].hint
    this.retryAfter = options.retryAfter ?? (errorTable[code].status === 503 ? 1 : undefined)
    this.headers = options.headers ?? {}
    this.about = options.about
  }

  get status(): number {
    return errorTable[this.code].status
  }

  toBody(requestId: string): ErrorBody {
    const { code, message, hint, retryAfter } = this
    return { error: { code, message, hint, requestId, ...(retryAfter === undefined ? {} : { retryAfter }) } }
  }
}

/** Any thrown value as an AppError: what is not one is our own fault and says nothing of its cause to the client. */
export const toAppError = (error: unknown): AppError =>
  error instanceof AppError ? error : new AppError('internal', 'Something went wrong in the server.', { cause: error })
