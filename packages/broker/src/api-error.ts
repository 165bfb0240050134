import type { ServerResponse } from 'node:http'

const types: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  405: 'invalid_request_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

/** The body of every refusal, in the Messages API's own form, so that `claude` understands and shows it. */
export const apiErrorBody = (status: number, message: string) => ({
  type: 'error',
  error: { type: types[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error'), message },
})

/** Sends a refusal. Does nothing to a response that has begun: its reader must see it break off, not end. */
export const sendApiError = (
  response: ServerResponse,
  { status, message, headers = {} }: { status: number; message: string; headers?: Record<string, string> },
): void => {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = JSON.stringify(apiErrorBody(status, message))
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}
