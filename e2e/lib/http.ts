import { errorTable, type ErrorCode } from '@aicm/protocol'
import { expect } from 'vitest'

export type Answer = { asked: string; status: number; headers: Headers; body: unknown; text: string }

/** One request as it is, without the SDK. */
export const send = async (
  url: string,
  method: string,
  { token, body, headers = {} }: { token?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> => {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    parsed = undefined
  }
  const asked = `${method} ${url} ${JSON.stringify(headers)} ${typeof body === 'string' ? body.slice(0, 200) : JSON.stringify(body)?.slice(0, 200)}`
  return { asked, status: response.status, headers: response.headers, body: parsed, text }
}

/** The answer is a refusal in the one form that there is, with the status that belongs to its code. */
export const expectRefusal = (
  answer: { asked?: string; status: number; body: unknown },
  ...codes: ErrorCode[]
): void => {
  const { error } = answer.body as { error: { code: ErrorCode } }
  expect(answer.body, answer.asked).toEqual({
    error: {
      code: expect.toBeOneOf(codes),
      message: expect.stringMatching(/./),
      hint: expect.stringMatching(/./),
      requestId: expect.stringMatching(/^req_/),
      ...('retryAfter' in error ? { retryAfter: expect.any(Number) } : {}),
    },
  })
  expect(answer.status, answer.asked).toBe(errorTable[error.code].status)
}
