import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

/**
 * Opens a folder below a session's home. Its sessions may write there at any moment: no part of the path may be a link, or
 * the server would read and write where a session may not. Rejects with ELOOP or ENOTDIR then. Use `at` for what is in it.
 */
export const openFolder = async (home: string, ...names: string[]): Promise<FileHandle> => {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
  let folder = await open(home, flags)
  for (const name of names) {
    await using outer = folder
    folder = await open(at(outer, name), flags)
  }
  return folder
}

/** The path of an entry of an open folder, whatever has become of the folder's own path. Source: proc(5), /proc/PID/fd. */
export const at = (folder: FileHandle, name = ''): string => `/proc/self/fd/${folder.fd}/${name}`

/** Opens a plain file of the folder. Rejects for a link, and for anything that could block the reader. */
export const openPlain = async (folder: FileHandle, name: string): Promise<{ file: FileHandle; size: number }> => {
  const file = await open(at(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const stat = await file.stat()
  if (stat.isFile()) return { file, size: stat.size }
  await file.close()
  throw new Error(`${name} is not a plain file`)
}

/** A small file's text; undefined when it is not there, is no plain file, or is longer than `maxBytes`. */
export const readSmall = async (folder: FileHandle, name: string, maxBytes: number): Promise<string | undefined> => {
  try {
    const { file: opened, size } = await openPlain(folder, name)
    await using file = opened
    return size > maxBytes ? undefined : await file.readFile('utf8')
  } catch {
    return undefined
  }
}
