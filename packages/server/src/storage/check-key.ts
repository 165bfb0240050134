import { AppError } from '../lib/app-error.ts'

const maxBytes = 1000

/** Keys that every key-value driver can hold: LMDB takes neither an empty key nor one of more than 1,978 bytes. */
export const checkKey = (key: string): void => {
  if (key === '' || !key.isWellFormed() || Buffer.byteLength(key) > maxBytes) {
    throw new AppError(
      'internal',
      `A key has 1 to ${maxBytes} bytes of Unicode text: ${JSON.stringify(key.slice(0, 100))}`,
    )
  }
}
