import { expect, test } from 'vitest'
import { handoverIn } from './handover.ts'

test('a code goes to a port of loopback, whatever the address says', () => {
  expect(handoverIn('#code=a-_1&port=4000&state=s')).toEqual({
    ...{ port: 4000, href: 'http://127.0.0.1:4000/?code=a-_1&state=s' },
  })
  expect(new URL(handoverIn('#code=/%2F@evil.example%23&port=80&state=%26x')?.href ?? '').host).toBe('127.0.0.1')
  for (const port of ['', '0', '65536', '80@evil.example', '1.5', '80/'])
    expect(handoverIn(`#code=a&state=s&port=${encodeURIComponent(port)}`)).toBeUndefined()
  for (const hash of ['', '#code=a&port=80', '#state=a&port=80']) expect(handoverIn(hash)).toBeUndefined()
})
