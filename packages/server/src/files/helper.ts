// The program that touches the files of a workspace: it runs inside the walls of the workspace's owner, never as the server,
// and its working directory is the workspace. It is started as a text (`--eval`), because nothing of the server can be seen
// in there: so it imports nothing but Node, and types. It answers one request after the other, and ends when its input does.
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
  type BigIntStats,
} from 'node:fs'
import { isUtf8 } from 'node:buffer'
import type { HelperEntry, HelperRefusal, HelperRequest } from './helper-protocol.ts'

const frameKinds = { json: 0, data: 1 } as const
const chunkBytes = 64 * 1024
/** O_PATH, from open(2): neither reads nor wakes what it opens, be it a FIFO, a device or a link. */
const O_PATH = 0o10000000
const { O_NOFOLLOW, O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NONBLOCK } = constants
/** What the names and targets of one list may take, about. */
const listBytes = 2 * 1024 * 1024
const maxRequest = 64 * 1024

class Refused extends Error {
  readonly code: string
  constructor(code: HelperRefusal) {
    super(code)
    this.code = code
  }
}

type Opened = Disposable & { fd: number }

const open = (path: string, flags: number, mode?: number): Opened => {
  const fd = openSync(path, flags, mode)
  return { fd, [Symbol.dispose]: () => closeSync(fd) }
}

/** A name in an open folder. The only way to a file: a path of several names would go wherever a link in its middle leads. */
const at = ({ fd }: Opened, name: string): string => `/proc/self/fd/${fd}/${name}`

/** The very file that is open, opened anew. */
const itself = ({ fd }: Opened): string => `/proc/self/fd/${fd}`

const typeOf = (stat: BigIntStats): HelperEntry['type'] => {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'folder'
  return stat.isSymbolicLink() ? 'link' : 'other'
}

const statOf = ({ fd }: Opened): BigIntStats => fstatSync(fd, { bigint: true })

/** The change time is part of it: what sets the modification time back cannot set that one. */
const etagOf = (stat: BigIntStats): string | null =>
  stat.isFile() ? `"${[stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].map((n) => n.toString(36)).join('-')}"` : null

const textOf = (bytes: Buffer): { text: string; escaped: boolean } =>
  isUtf8(bytes)
    ? { text: bytes.toString(), escaped: false }
    : {
        text: Array.from(bytes, (byte) =>
          byte < 0x80 && byte !== 0x5c ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
        ).join(''),
        escaped: true,
      }

const entryOf = (name: Buffer, stat: BigIntStats, target: Buffer | undefined): HelperEntry => {
  const { text, escaped } = textOf(name)
  return {
    ...{ name: text, escaped, type: typeOf(stat) },
    size: stat.isFile() ? Number(stat.size) : null,
    modified: Number(stat.mtimeMs),
    target: target === undefined ? null : textOf(target).text,
    etag: etagOf(stat),
  }
}

const namesOf = (path: string): string[] => {
  if (path === '') return []
  const names = path.split('/')
  if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0')))
    throw new Refused('BAD_PATH')
  return names
}

const assertFolder = (opened: Opened): void => {
  const type = typeOf(statOf(opened))
  if (type === 'link') throw new Refused('LINK')
  if (type !== 'folder') throw new Refused('NOT_FOLDER')
}

const [expected, ...rest] = process.argv.slice(1)
if (expected === undefined || rest.length > 0) throw new Error('wrong arguments')
const workspace = open('.', O_PATH)
// Empty: whoever has opened it for us has looked at it, or nobody else can replace it.
if (expected !== '' && readlinkSync(itself(workspace)) !== expected) throw new Error(`${expected} is not what it was`)

/** Goes down one name at a time. A link on the way is refused whenever it was put there: what is open stays what it is. */
const openFolder = (names: readonly string[]): Opened => {
  let folder = open(itself(workspace), O_PATH)
  for (const name of names) {
    using above = folder
    folder = open(at(above, name), O_PATH | O_NOFOLLOW)
    try {
      assertFolder(folder)
    } catch (error) {
      folder[Symbol.dispose]()
      throw error
    }
  }
  return folder
}

/** The open folder of what has this path, and its name there. */
const openParent = (path: string): { folder: Opened; name: string } => {
  const names = namesOf(path)
  const name = names.pop()
  if (name === undefined) throw new Refused('NOT_FILE')
  return { folder: openFolder(names), name }
}

const statAt = (folder: Opened, name: string): BigIntStats | undefined =>
  lstatSync(at(folder, name), { bigint: true, throwIfNoEntry: false })

const assertFile = (stat: BigIntStats): void => {
  if (stat.isSymbolicLink()) throw new Refused('LINK')
  if (!stat.isFile()) throw new Refused('NOT_FILE')
}

const list = ({ path, after, limit }: HelperRequest & { op: 'list' }) => {
  using folder = openFolder(namesOf(path))
  const from = after === undefined ? undefined : Buffer.from(after, 'base64url')
  /** The smallest names so far, and some more: a folder of millions is never held whole. */
  let names: Buffer[] = []
  const cut = (): void => void (names = names.sort(Buffer.compare).slice(0, limit + 1))
  using entries = opendirSync(itself(folder), { encoding: 'buffer' as BufferEncoding, bufferSize: 1024 })
  for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
    // The types know of no names that are bytes.
    const name = entry.name as unknown as Buffer
    if (from !== undefined && Buffer.compare(name, from) <= 0) continue
    names.push(name)
    if (names.length > 4 * limit + 1000) cut()
  }
  cut()
  const found: HelperEntry[] = []
  let bytes = 0
  let last: Buffer | undefined
  for (const name of names.slice(0, limit)) {
    if (bytes > listBytes) break
    last = name
    const place = Buffer.concat([Buffer.from(at(folder, '')), name])
    try {
      const stat = lstatSync(place, { bigint: true })
      const target = stat.isSymbolicLink() ? readlinkSync(place, 'buffer') : undefined
      found.push(entryOf(name, stat, target))
      bytes += name.length + (target?.length ?? 0)
    } catch (error) {
      // It has gone, or is no link any more.
      if (!['ENOENT', 'EINVAL'].includes(codeOf(error))) throw error
    }
  }
  const more = last !== undefined && names.at(-1) !== last
  return { entries: found, next: more ? last?.toString('base64url') : undefined }
}

const stat = (path: string) => {
  const { folder, name } = openParent(path)
  using _ = folder
  const found = statAt(folder, name)
  return { entry: found === undefined ? null : entryOf(Buffer.from(name), found, undefined) }
}

type Reading = { kind: 'reading'; file: Opened }
type Writing = {
  kind: 'writing'
  folder: Opened
  name: string
  file: Opened
  /** Its name until it has its own. */
  temporary: string
  /** Permissions of the file that it replaces. */
  mode: number | undefined
  /** What a write has failed with: the rest of the data is dropped, and the commit says so. */
  failed?: unknown
}

let current: Reading | Writing | undefined

const close = (): void => {
  const closing = current
  current = undefined
  if (closing === undefined) return
  closing.file[Symbol.dispose]()
  if (closing.kind === 'reading') return
  using folder = closing.folder
  try {
    unlinkSync(at(folder, closing.temporary))
  } catch {
    // Somebody else has.
  }
}

const openFile = (path: string) => {
  close()
  const { folder, name } = openParent(path)
  using _ = folder
  // What it is is known before it is opened: neither a FIFO nor a device is.
  using found = open(at(folder, name), O_PATH | O_NOFOLLOW)
  assertFile(statOf(found))
  const file = open(itself(found), O_RDONLY | O_NONBLOCK)
  current = { kind: 'reading', file }
  return { entry: entryOf(Buffer.from(name), statOf(file), undefined) }
}

const read = (start: number, length: number) => {
  if (current?.kind !== 'reading') throw new Refused('NOT_FILE')
  const buffer = Buffer.alloc(Math.min(chunkBytes, length))
  for (let done = 0; done < length;) {
    const bytes = readSync(current.file.fd, buffer, 0, Math.min(buffer.length, length - done), start + done)
    if (bytes === 0) throw new Refused('CHANGED')
    send(frameKinds.data, buffer.subarray(0, bytes))
    done += bytes
  }
  return {}
}

const create = (path: string) => {
  close()
  const { folder, name } = openParent(path)
  let owned: Opened | undefined = folder
  try {
    const found = statAt(folder, name)
    if (found !== undefined) assertFile(found)
    // Whoever guesses the name gains nothing: it must be new, and is written by its descriptor.
    const temporary = `.aicm-${process.pid}-${process.hrtime.bigint().toString(36)}.tmp`
    const file = open(at(folder, temporary), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
    const mode = found === undefined ? undefined : Number(found.mode & 0o777n)
    current = { kind: 'writing', folder, name, file, temporary, mode }
    owned = undefined
    return { entry: found === undefined ? null : entryOf(Buffer.from(name), found, undefined) }
  } finally {
    owned?.[Symbol.dispose]()
  }
}

const append = (data: Buffer): void => {
  if (current?.kind !== 'writing' || current.failed !== undefined) return
  try {
    for (let done = 0; done < data.length;) done += writeSync(current.file.fd, data, done)
  } catch (error) {
    current.failed = error
  }
}

const assertExpected = (folder: Opened, name: string, expect: string | null | undefined): void => {
  const found = statAt(folder, name)
  if (found !== undefined) assertFile(found)
  if (expect !== undefined && (found === undefined ? null : etagOf(found)) !== expect) throw new Refused('CHANGED')
}

const commit = (expect: string | null | undefined) => {
  if (current?.kind !== 'writing') throw new Refused('NOT_FILE')
  const { folder, name, file, temporary, mode, failed } = current
  try {
    if (failed !== undefined) throw failed
    if (mode !== undefined) fchmodSync(file.fd, mode)
    fsyncSync(file.fd)
    assertExpected(folder, name, expect)
    // A link to the file fails where there is something by now; a rename would replace it.
    if (expect === null) linkSync(at(folder, temporary), at(folder, name))
    else renameSync(at(folder, temporary), at(folder, name))
    using flushed = open(itself(folder), O_RDONLY)
    fsyncSync(flushed.fd)
  } catch (error) {
    close()
    throw error
  }
  if (expect === null) unlinkSync(at(folder, temporary))
  // Not before: giving it its name has changed its change time.
  const entry = entryOf(Buffer.from(name), statOf(file), undefined)
  current = undefined
  file[Symbol.dispose]()
  folder[Symbol.dispose]()
  return { entry }
}

const remove = (path: string, expect: string | undefined) => {
  const { folder, name } = openParent(path)
  using _ = folder
  if (expect !== undefined) assertExpected(folder, name, expect)
  const place = at(folder, name)
  if (lstatSync(place).isDirectory()) rmdirSync(place)
  else unlinkSync(place)
  return {}
}

const makeFolder = (path: string) => {
  const { folder, name } = openParent(path)
  using _ = folder
  mkdirSync(at(folder, name))
  const made = statAt(folder, name)
  return { entry: made === undefined ? null : entryOf(Buffer.from(name), made, undefined) }
}

const answer = (request: HelperRequest): object => {
  switch (request.op) {
    case 'list':
      return list(request)
    case 'stat':
      return stat(request.path)
    case 'open':
      return openFile(request.path)
    case 'read':
      return read(request.start, request.length)
    case 'create':
      return create(request.path)
    case 'commit':
      return commit(request.expect)
    case 'close':
      close()
      return {}
    case 'remove':
      return remove(request.path, request.expect)
    case 'makeFolder':
      return makeFolder(request.path)
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

const reply = (request: HelperRequest): object => {
  try {
    return answer(request)
  } catch (error) {
    const code = codeOf(error)
    if (code === '') throw error
    return { error: code }
  }
}

const send = (kind: number, payload: Buffer): void => {
  const frame = Buffer.allocUnsafe(5 + payload.length)
  frame.writeUInt32BE(payload.length)
  frame.writeUInt8(kind, 4)
  payload.copy(frame, 5)
  for (let done = 0; done < frame.length;) done += writeSync(1, frame, done)
}

/** So many bytes of the input; undefined at its end. */
const take = (length: number): Buffer | undefined => {
  const bytes = Buffer.allocUnsafe(length)
  for (let done = 0; done < length;) {
    const got = readSync(0, bytes, done, length - done, null)
    if (got === 0) return undefined
    done += got
  }
  return bytes
}

try {
  for (let head = take(5); head !== undefined; head = take(5)) {
    const length = head.readUInt32BE()
    if (length > Math.max(maxRequest, chunkBytes)) throw new Error(`a frame of ${length} bytes`)
    const payload = take(length)
    if (payload === undefined) break
    if (head.readUInt8(4) === frameKinds.data) append(payload)
    else send(frameKinds.json, Buffer.from(JSON.stringify(reply(JSON.parse(payload.toString())))))
  }
} finally {
  close()
}
