import { AicmError } from '@aicm/client'

export type Described = { message: string; hint?: string; requestId?: string }

/** Any error as something to show: the server's refusals with their hint, everything else by its message. */
export const describeError = (error: unknown): Described => {
  if (error instanceof AicmError) {
    const { message, hint, requestId } = error
    return { message, ...(hint ? { hint } : {}), ...(requestId ? { requestId } : {}) }
  }
  if (error instanceof Error && error.message !== '') return { message: error.message }
  return { message: 'Something went wrong.', hint: 'Try again; if it stays, reload the page.' }
}

/** The log-in is no longer good (a wrong password at the log-in itself is another code). */
export const isLoggedOut = (error: unknown): boolean =>
  error instanceof AicmError &&
  error.status === 401 &&
  error.code !== 'invalid_credentials' &&
  error.code !== 'invalid_ticket'

/** Worth asking again with the same request. */
export const isTransient = (error: unknown): boolean =>
  error instanceof AicmError && (error.code === 'unreachable' || error.status >= 500)
