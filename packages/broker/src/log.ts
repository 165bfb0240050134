import { closeSync, openSync, renameSync, writeSync, fstatSync } from 'node:fs'

/** Fields are logged as they are: never give it headers, bodies or a configuration. */
export type Log = {
  write: (message: string, fields?: Record<string, string | number | null>) => void
  close: () => void
}

/**
 * JSON lines in a file. At `maxBytes` the file becomes `<path>.1` (replacing the last one), so both together stay below
 * twice that. Must not throw: a full disk may cost log lines, never a request.
 */
export const openLog = (path: string, { maxBytes = 2 * 1024 * 1024 } = {}): Log => {
  let file: number | null = null
  let size = 0

  const open = () => {
    file = openSync(path, 'a', 0o600)
    size = fstatSync(file).size
  }
  const close = () => {
    if (file !== null) closeSync(file)
    file = null
  }
  const write = (line: string) => {
    try {
      if (file === null) open()
      if (size + line.length > maxBytes && size > 0) {
        close()
        renameSync(path, `${path}.1`)
        open()
      }
      if (file !== null) size += writeSync(file, line)
    } catch {
      // Nobody left to tell.
    }
  }
  return {
    write: (message, fields = {}) =>
      write(`${JSON.stringify({ time: new Date().toISOString(), message, ...fields })}\n`),
    close,
  }
}
