import { AppError } from '../lib/app-error.ts'

/** The headers If-Match and If-None-Match (RFC 9110, 13.1). */
export type Preconditions = { ifMatch?: string | undefined; ifNoneMatch?: string | undefined }

const tagsOf = (header: string): string[] => header.match(/(?:W\/)?"[^"]*"/g) ?? []

/** Whether `If-None-Match` names it: a reader has it already. */
export const isNamed = (header: string | undefined, etag: string | null): boolean =>
  header !== undefined &&
  etag !== null &&
  (header.trim() === '*' || tagsOf(header).some((tag) => tag.replace(/^W\//, '') === etag))

/** Throws precondition_failed unless `If-Match` allows what is there now; null: nothing is. A weak tag matches nothing. */
export const assertMatches = (header: string | undefined, etag: string | null): void => {
  if (header === undefined || (etag !== null && (header.trim() === '*' || tagsOf(header).includes(etag)))) return
  throw new AppError(
    'precondition_failed',
    etag === null ? 'There is no such file any more.' : 'The file has changed since.',
  )
}

/** For a change: throws, or gives what must still be there when it is made (null: nothing); undefined when that is the same. */
export const expectedOf = ({ ifMatch, ifNoneMatch }: Preconditions, etag: string | null): string | null | undefined => {
  assertMatches(ifMatch, etag)
  if (isNamed(ifNoneMatch, etag)) throw new AppError('precondition_failed', 'There is such a file already.')
  return ifMatch === undefined && ifNoneMatch === undefined ? undefined : etag
}
