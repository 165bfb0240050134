/** Bytes `start` to `end`, both of them too. */
export type Range = { start: number; end: number }

/**
 * What a Range header asks for of `size` bytes (RFC 9110, 14.2); undefined: all of it, because none is asked for, several are, or
 * what stands there is no range. `If-Range` asks for all of it when it is another file by now.
 */
export const rangeOf = (
  { range, 'if-range': ifRange }: { range?: string | undefined; 'if-range'?: string | undefined },
  { size, etag }: { size: number; etag: string },
): Range | 'unsatisfiable' | undefined => {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range ?? '') ?? []
  if ((from === '' && to === '') || (ifRange !== undefined && ifRange !== etag)) return undefined
  if (from === '')
    return to === '0' || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - Number(to)), end: size - 1 }
  const start = Number(from)
  const end = to === '' ? size - 1 : Math.min(Number(to), size - 1)
  if (to !== '' && Number(to) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}
