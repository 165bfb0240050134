import { randomUUID } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** Of less than 2^53: five bits a character. */
const encode = (value: number, length: number): string => {
  let text = ''
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) text = alphabet[rest % 32] + text
  return text
}

/** 80 random bits. A UUID's, without its fixed ones: Node makes those in advance, at a tenth of the price of 10 random bytes. */
const randomness = (): string => {
  const uuid = randomUUID()
  return encode(parseInt(uuid.slice(24, 34), 16), 8) + encode(parseInt(uuid.slice(34) + uuid.slice(0, 8), 16), 8)
}

/** `kind_` and a ULID: 10 characters of milliseconds, 16 of randomness. Ids made in later milliseconds sort later. */
export const newId = (
  kind: 'ses' | 'wsp' | 'apr' | 'usr' | 'lgn' | 'key' | 'prj' | 'tsk' | 'crd',
  now: number,
): string => `${kind}_${encode(now, 10)}${randomness()}`

const ofThisProcess = randomness().slice(0, 8)
let requests = 0
let timeText = { time: -1, text: '' }

/** The same form, of a request: it names a line of the log and opens nothing, so it is counted, at a tenth of the price. */
export const newRequestId = (now: number): string => {
  if (now !== timeText.time) timeText = { time: now, text: encode(now, 10) }
  return `req_${timeText.text}${ofThisProcess}${encode(requests++, 8)}`
}

export const newUuid = (): string => randomUUID()
