import { randomBytes, randomUUID } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

const encode = (value: bigint, length: number): string => {
  let text = ''
  for (let rest = value; text.length < length; rest >>= 5n) text = alphabet[Number(rest & 31n)] + text
  return text
}

/** `kind_` and a ULID: 10 characters of milliseconds, 16 of randomness. Ids made in later milliseconds sort later. */
export const newId = (kind: 'ses' | 'wsp' | 'apr' | 'usr' | 'prj' | 'tsk' | 'req', now: number): string =>
  `${kind}_${encode(BigInt(now), 10)}${encode(BigInt(`0x${randomBytes(10).toString('hex')}`), 16)}`

export const newUuid = (): string => randomUUID()
