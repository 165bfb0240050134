import { closeSync, mkdirSync, openSync, write as writeFile, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** A file for lines of text, as pino wants its destination. */
export type LogFile = {
  write(line: string): void
  /** Writes what waits, as far as the disk takes it. What comes afterwards is dropped. */
  close(): void
}

/** Waits at most for the disk, in characters; what comes then is dropped. */
const maxWaiting = 4 * 1024 * 1024

/**
 * The log must neither hold the server up nor end it: what a full or broken disk does not take is lost, and the number of
 * lost lines is written down when it takes lines again. (pino's own destination ends the process, and then waits for room.)
 */
export const openLogFile = (path: string): LogFile => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const fd = openSync(path, 'a', 0o600)
  let waiting = ''
  let lost = 0
  let writing = false
  let closed = false

  const take = (): Buffer => {
    const lines =
      lost === 0 ? waiting : `{"level":40,"time":${Date.now()},"lost":${lost},"msg":"lines were lost"}\n${waiting}`
    waiting = ''
    return Buffer.from(lines)
  }

  const next = (): void => {
    if (writing) return
    // Not before: the number of a closed file may be another's while a write to it is still under way.
    if (closed) return closeSync(fd)
    if (waiting === '') return
    writing = true
    const lines = take()
    const told = lost
    const from = (at: number): void => {
      writeFile(fd, lines, at, (error, written) => {
        if (error === null && at + written < lines.length) return from(at + written)
        writing = false
        if (error === null) lost -= told
        else lost += countLines(lines, at)
        next()
      })
    }
    from(0)
  }

  const flush = (): void => {
    if (closed || waiting === '') return
    const lines = take()
    try {
      writeSync(fd, lines)
      lost = 0
    } catch {
      lost += countLines(lines, 0)
    }
  }

  process.on('exit', flush)
  return {
    write: (line) => {
      if (closed) return
      if (waiting.length + line.length > maxWaiting) lost++
      else waiting += line
      next()
    },
    close: () => {
      if (closed) return
      flush()
      closed = true
      process.off('exit', flush)
      next()
    },
  }
}

const countLines = (lines: Buffer, from: number): number => {
  let count = 0
  for (let at = lines.indexOf(10, from); at >= 0; at = lines.indexOf(10, at + 1)) count++
  return count
}
