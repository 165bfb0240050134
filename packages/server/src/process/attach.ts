import { constants, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Socket } from 'node:net'
import { readExit, type Exit } from './exit-status.ts'
import { isAlive } from './identity.ts'
import { followJournal } from './journal.ts'
import { processFiles, type ProcessRecord, type SessionProcess } from './session-process.ts'
import { killTree, terminate } from './tree.ts'

/** How often an adopted process is looked at: nobody tells us of the end of another's child. */
const adoptedPollMs = 200
const stderrTailBytes = 4096

const readTail = async (path: string, bytes: number): Promise<string> => {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    const buffer = Buffer.alloc(Math.min(size, bytes))
    await file.read(buffer, 0, buffer.length, size - buffer.length)
    return buffer.toString('utf8')
  } catch {
    return ''
  }
}

/** The writing end of the FIFO, as a socket so that a full pipe is waited for instead of failing. */
const openInput = (path: string): Socket => {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  return new Socket({ fd, readable: false, writable: true })
}

/**
 * The handle of a running process by its names in the file system. `outerExit` tells the end of a child of ours; an adopted
 * process is polled.
 */
export const attach = (record: ProcessRecord, outerExit?: Promise<unknown>): SessionProcess => {
  const files = processFiles(record.dir)
  const ended = new AbortController()
  let released = false
  let input: Socket | undefined
  let lastWrite: Promise<unknown> = Promise.resolve()

  const outerEnd = (): Promise<unknown> =>
    outerExit ??
    new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (!released && isAlive(record.identity)) return
        clearInterval(timer)
        // Let go of, not ended: whoever adopts it next will see its end.
        if (!released) resolve()
      }, adoptedPollMs)
      timer.unref()
    })

  const exited = (async (): Promise<Exit> => {
    await outerEnd()
    // Whatever the wrapper's death left behind must not go on writing to the journal of an ended process.
    if (!released) await killTree(record)
    const exit = await readExit(files.exit)
    ended.abort()
    input?.destroy()
    return exit
  })()

  const write = (line: string): Promise<void> => {
    const next = lastWrite.then(
      () =>
        new Promise<void>((resolve, reject) => {
          input ??= openInput(files.stdin)
          input.once('error', reject)
          input.write(line, (error) => {
            input?.off('error', reject)
            if (error) reject(error)
            else resolve()
          })
        }),
    )
    lastWrite = next.catch(() => undefined)
    return next
  }

  return {
    record,
    write,
    output: (from, onCaughtUp) => followJournal({ path: files.stdout, from, ended: ended.signal, onCaughtUp }),
    exited,
    stop: async (graceMs) => {
      await terminate(record)
      const timer = setTimeout(() => void killTree(record), graceMs)
      try {
        return await exited
      } finally {
        clearTimeout(timer)
      }
    },
    stderrTail: () => readTail(files.stderr, stderrTailBytes),
    release: () => {
      released = true
      input?.destroy()
      ended.abort()
    },
  }
}
