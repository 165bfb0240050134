// What the server and the program in files/helper.ts say to each other, in frames: four bytes of length (big endian), one byte
// of kind, and that many bytes.

export const frameKinds = { json: 0, data: 1 } as const

/** What a data frame holds at most, in bytes. */
export const chunkBytes = 64 * 1024

/** A path is relative to the workspace, names with `/` between; the workspace itself is the empty one. */
export type HelperRequest =
  /** In the order of their bytes, those after the name `after` (base64). */
  | { op: 'list'; path: string; after?: string; limit: number }
  /** Of what is there, links not followed. */
  | { op: 'stat'; path: string }
  /** A file is held open, for `read`. */
  | { op: 'open'; path: string }
  /** Answered with data frames of so many bytes together, then with `{}`. */
  | { op: 'read'; start: number; length: number }
  /** A new file without a name is begun: data frames follow, then `commit`. Answered with what is there now. */
  | { op: 'create'; path: string }
  /** It takes the name, if that still means what it meant: the file with this ETag, or none (null). */
  | { op: 'commit'; expect?: string | null }
  /** What was opened or begun is let go. */
  | { op: 'close' }
  /** A file, a link, or an empty folder. */
  | { op: 'remove'; path: string; expect?: string }
  | { op: 'makeFolder'; path: string }

export type HelperEntry = {
  name: string
  /** The name is no UTF-8 and cannot be written in a path: bytes that are not ASCII are shown as \xNN. */
  escaped: boolean
  type: 'file' | 'folder' | 'link' | 'other'
  /** Bytes of a file. */
  size: number | null
  /** Milliseconds since 1970. */
  modified: number
  /** Where a link points, as it is written there. */
  target: string | null
  /** Of a file: another one for each content. */
  etag: string | null
}

/** `error` is one of these, or the system's own code (ENOENT). */
export type HelperRefusal = 'LINK' | 'NOT_FILE' | 'NOT_FOLDER' | 'CHANGED' | 'BAD_PATH'
