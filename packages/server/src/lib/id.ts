import { randomUUID } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

const encode = (value: bigint, length: number): string => {
  let text = ''
  for (let rest = value; text.length < length; rest >>= 5n) text = alphabet[Number(rest & 31n)] + text
  return text
}

/** 80 random bits. A UUID's, without its fixed ones: Node makes those in advance, at a tenth of the price of 10 random bytes. */
const randomness = (): bigint => {
  const uuid = randomUUID()
  return BigInt(`0x${uuid.slice(0, 8)}${uuid.slice(24)}`)
}

/** `kind_` and a ULID: 10 characters of milliseconds, 16 of randomness. Ids made in later milliseconds sort later. */
export const newId = (kind: 'ses' | 'wsp' | 'apr' | 'usr' | 'prj' | 'tsk' | 'req', now: number): string =>
  `${kind}_${encode(BigInt(now), 10)}${encode(randomness(), 16)}`

export const newUuid = (): string => randomUUID()
