import type { FileEntry, ErrorCode } from '@aicm/protocol'
import type { Walls } from '../isolation/confine.ts'
import { AppError } from '../lib/app-error.ts'
import { isoTime } from '../lib/clock.ts'
import { createTurns } from '../lib/turns.ts'
import type { Owner } from '../process/owner.ts'
import type { WorkspaceRecord } from '../storage/workspace-store.ts'
import type { HelperEntry, HelperRefusal } from './helper-protocol.ts'
import { HelperRefusedError, type Helper, type HelperPlace } from './helper-process.ts'
import { createHelpers } from './helpers.ts'
import { expectedOf, type Preconditions } from './preconditions.ts'

/** Who asks for something in which workspace. `signal` tells that nobody waits for the answer any more. */
export type Asker = { workspace: WorkspaceRecord; userId: string; signal: AbortSignal }

/** `bytes`: how many there are, as far as it is known before. */
export type Content = { bytes: number | undefined; data: AsyncIterable<Uint8Array> }

export type OpenFile = AsyncDisposable & {
  entry: FileEntry & { size: number; etag: string }
  /** Lets go of the file when it ends, or is left. */
  read(start: number, length: number): AsyncGenerator<Buffer, void, void>
}

/**
 * Files of workspaces, for users. Nothing here touches one: a program inside the owner's walls does. Paths are relative to the
 * workspace. Rejects with codes of the protocol.
 */
export type Files = AsyncDisposable & {
  list(
    asker: Asker,
    options: { path: string; cursor?: string; limit: number },
  ): Promise<{ entries: FileEntry[]; nextCursor: string | null }>
  open(asker: Asker, path: string): Promise<OpenFile>
  /** The file has all of the content, or is as it was. */
  write(
    asker: Asker,
    path: string,
    content: Content,
    preconditions: Preconditions,
  ): Promise<FileEntry & { etag: string }>
  /** A file, a link, or an empty folder. */
  remove(asker: Asker, path: string, preconditions: Preconditions): Promise<void>
  makeFolder(asker: Asker, path: string): Promise<FileEntry>
}

const commitMs = 5 * 60_000
const listMs = 2 * 60_000
/** A reader that takes nothing for so long is gone. */
const stallMs = 30_000

const refusals: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ...({
    LINK: ['path_is_link', 'is a link, or leads through one.'],
    NOT_FILE: ['not_a_file', 'is a folder, or something else that is no file.'],
    NOT_FOLDER: ['not_a_folder', 'is no folder, or leads through something that is none.'],
    CHANGED: ['precondition_failed', 'has changed meanwhile.'],
    BAD_PATH: ['invalid_request', 'is no path: names with / between, none of them empty, "." or "..".'],
  } satisfies Record<HelperRefusal, readonly [ErrorCode, string]>),
  ELOOP: ['path_is_link', 'is a link, or leads through one.'],
  EISDIR: ['not_a_file', 'is a folder.'],
  ENOTDIR: ['not_a_folder', 'is no folder, or leads through something that is none.'],
  ENOENT: ['file_not_found', 'does not exist.'],
  EEXIST: ['file_exists', 'exists already.'],
  ENOTEMPTY: ['folder_not_empty', 'is not empty.'],
  EACCES: ['file_not_permitted', 'is closed to the owner of the workspace.'],
  EPERM: ['file_not_permitted', 'is closed to the owner of the workspace.'],
  EROFS: ['file_not_permitted', 'is where nothing can be written.'],
  EBUSY: ['file_not_permitted', 'is in use by the system.'],
  ENAMETOOLONG: ['invalid_request', 'has a name that is too long.'],
  EINVAL: ['invalid_request', 'has a name that cannot be.'],
  EFBIG: ['payload_too_large', 'would be larger than a file may be.'],
  ENOSPC: ['storage_full', 'does not fit on the disk.'],
  EDQUOT: ['storage_full', 'does not fit on the disk.'],
}

const errorOf = (error: unknown, path: string): AppError => {
  if (error instanceof AppError) return error
  if (!(error instanceof HelperRefusedError))
    return new AppError('files_unavailable', 'The files of this workspace cannot be reached.', { cause: error })
  const [code, words] = refusals[error.code] ?? ['files_unavailable', `could not be reached (${error.code}).`]
  return new AppError(code, `${path === '' ? 'The folder of the workspace' : JSON.stringify(path)} ${words}`, {
    cause: error,
  })
}

const types: readonly unknown[] = ['file', 'folder', 'link', 'other'] satisfies HelperEntry['type'][]

/** The helper's word is as good as the user's: see readFrames. */
const isEntry = (value: unknown): value is HelperEntry => {
  if (typeof value !== 'object' || value === null) return false
  const { name, escaped, type, size, modified, target, etag } = value as Record<keyof HelperEntry, unknown>
  return (
    typeof name === 'string' &&
    typeof escaped === 'boolean' &&
    types.includes(type) &&
    (type === 'file' ? Number.isSafeInteger(size) && typeof etag === 'string' : size === null && etag === null) &&
    (etag === null || /^"[0-9a-z-]+"$/.test(String(etag))) &&
    typeof modified === 'number' &&
    Math.abs(modified) <= 8.64e15 &&
    (target === null || typeof target === 'string')
  )
}

const viewEntry = (value: unknown): FileEntry => {
  if (!isEntry(value)) throw new Error('the helper sent what is no entry')
  const { modified, ...entry } = value
  return { ...entry, modifiedAt: isoTime(modified) }
}

const viewFile = (value: unknown): OpenFile['entry'] => {
  const entry = viewEntry(value)
  if (entry.size === null || entry.etag === null) throw new Error('the helper sent what is no file')
  return { ...entry, size: entry.size, etag: entry.etag }
}

export const createFiles = (options: {
  wallsOf(userId: string): Promise<Walls>
  give(path: string, owner: Owner | undefined): Promise<void>
  accountsDir: string
  mostHelpers: number
  maxFileBytes: number
  /** So many bytes more are a user's. Rejects when that is more than they may have. */
  store(userId: string, bytes: number): Promise<void>
}): Files => {
  const helpers = createHelpers({ most: options.mostHelpers })
  /** What looks before it changes something is alone with that: of two who replace the same content, one is told. */
  const alone = createTurns(1)

  const placeOf = async ({ userId, path, source }: WorkspaceRecord): Promise<HelperPlace> => {
    // The owner's walls, whoever asks: what lies there is the owner's, and stays so.
    const walls = await options.wallsOf(userId)
    const exact = source === 'folder'
    if (!exact) await options.give(path, walls.owner)
    return { path, exact, walls, accountsDir: options.accountsDir }
  }

  const lease = ({ workspace, userId, signal }: Asker) =>
    helpers.lease({ userId, signal, place: () => placeOf(workspace) })

  const withHelper = async <T>(asker: Asker, path: string, work: (helper: Helper) => Promise<T>): Promise<T> => {
    try {
      await using leased = await lease(asker)
      return await work(leased.helper)
    } catch (error) {
      // Whoever has gone is answered nothing; the log says what it was.
      const left = asker.signal.aborted || (error instanceof Error && 'code' in error && error.code === 'ECONNRESET')
      throw left ? new AppError('request_timeout', 'The request was given up.', { cause: error }) : errorOf(error, path)
    }
  }

  return {
    list: (asker, { path, cursor, limit }) =>
      withHelper(asker, path, async (helper) => {
        const { entries, next } = await helper.ask({ op: 'list', path, limit, after: cursor }, listMs)
        if (!Array.isArray(entries)) throw new Error('the helper sent no list')
        return { entries: entries.map(viewEntry), nextCursor: typeof next === 'string' ? next : null }
      }),

    open: async (asker, path) => {
      await using stack = new AsyncDisposableStack()
      try {
        const { helper } = stack.use(await lease(asker))
        const entry = viewFile((await helper.ask({ op: 'open', path })).entry)
        const resources = stack.move()
        return {
          entry,
          read: async function* (start, length) {
            await using _ = resources
            for await (const data of helper.read(start, length)) {
              const stalled = setTimeout(() => void helper.end(), stallMs)
              yield data
              clearTimeout(stalled)
            }
          },
          [Symbol.asyncDispose]: async () => {
            if (!resources.disposed) await helper.ask({ op: 'close' })
            await resources.disposeAsync()
          },
        }
      } catch (error) {
        throw errorOf(error, path)
      }
    },

    write: (asker, path, content, preconditions) =>
      withHelper(asker, path, async (helper) => {
        const { workspace } = asker
        const count = async (bytes: number): Promise<void> => {
          // A folder that was there before is nobody's share of the disk.
          if (workspace.source !== 'folder') await options.store(workspace.userId, bytes)
        }
        const { entry: found } = await helper.ask({ op: 'create', path })
        const before = found === null ? undefined : viewFile(found)
        let counted = 0
        const countUpTo = async (bytes: number): Promise<void> => {
          if (bytes > options.maxFileBytes) throw tooLarge(options.maxFileBytes)
          if (bytes <= counted) return
          await count(bytes - counted)
          counted = bytes
        }
        try {
          const expect = expectedOf(preconditions, before?.etag ?? null)
          await countUpTo(content.bytes ?? 0)
          let size = 0
          for await (const data of content.data) {
            size += data.length
            await countUpTo(size)
            await helper.send(data)
          }
          const { entry } = await alone(workspace.id, () => helper.ask({ op: 'commit', expect }, commitMs))
          const written = viewFile(entry)
          await count(-(before?.size ?? 0))
          return written
        } catch (error) {
          await count(-counted)
          // Somebody else's came first.
          if (error instanceof HelperRefusedError && error.code === 'EEXIST') throw new HelperRefusedError('CHANGED')
          throw error
        }
      }),

    remove: (asker, path, preconditions) =>
      withHelper(asker, path, (helper) =>
        alone(asker.workspace.id, async () => {
          const { entry } = await helper.ask({ op: 'stat', path })
          const expect = expectedOf(preconditions, entry === null ? null : viewEntry(entry).etag)
          await helper.ask({ op: 'remove', path, ...(typeof expect === 'string' && { expect }) })
        }),
      ),

    makeFolder: (asker, path) =>
      withHelper(asker, path, async (helper) => viewEntry((await helper.ask({ op: 'makeFolder', path })).entry)),

    [Symbol.asyncDispose]: () => helpers[Symbol.asyncDispose](),
  }
}

const tooLarge = (most: number): AppError =>
  new AppError('payload_too_large', `A file may have ${most} bytes here.`, {
    hint: 'Send less, or have the operator set --max-file-size.',
  })
