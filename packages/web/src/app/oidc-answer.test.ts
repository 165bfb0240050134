import { expect, test } from 'vitest'
import { oidcAnswerIn } from './oidc-answer.ts'

const errorIn = (hash: string): string | undefined => {
  const answer = oidcAnswerIn(hash)
  return answer !== undefined && 'error' in answer ? answer.error.message : undefined
}

test('a code and a refusal are told apart from any other address', () => {
  expect(oidcAnswerIn('#oidc=abc-_1')).toEqual({ code: 'abc-_1' })
  expect(errorIn('#oidc-error=oidc_no_role')).toMatch(/group that may log in/)
  for (const hash of ['', '#', '#other']) expect(oidcAnswerIn(hash)).toBeUndefined()
})

test('no words from the address are shown', () => {
  for (const word of ['Call 555 now', '__proto__', 'constructor'])
    expect(errorIn(`#oidc-error=${word}`)).toBe('The log-in did not succeed.')
})
