import { constants, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Socket } from 'node:net'
import { isDiskFull } from '../lib/disk-full.ts'
import { readExit, type Exit } from './exit-status.ts'
import { isAlive } from './identity.ts'
import type { OomKills } from './oom-kills.ts'
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

const mayBeAlive = (record: ProcessRecord): boolean => {
  try {
    return isAlive(record.identity)
  } catch {
    return true
  }
}

/** Until it has worked: looking for processes fails while the server is out of file descriptors. */
const endTree = async (record: ProcessRecord): Promise<void> => {
  while (true) {
    try {
      return await killTree(record)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, adoptedPollMs))
    }
  }
}

/** The writing end of the FIFO, as a socket so that a full pipe is waited for instead of failing. */
const openInput = (path: string): Socket => {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  const socket = new Socket({ fd, readable: false, writable: true })
  // Whoever wrote is told by the write itself. The event comes after that, and unheard it would end the server.
  return socket.on('error', () => undefined)
}

/**
 * The handle of a running process by its names in the file system. `outerExit` tells the end of a child of ours; an adopted
 * process is polled.
 */
export const attach = (
  record: ProcessRecord,
  { oomKills, outerExit }: { oomKills: OomKills; outerExit?: Promise<Exit | undefined> },
): SessionProcess => {
  const files = processFiles(record.dir)
  const ended = new AbortController()
  let released = false
  let input: Socket | undefined

  const outerEnd = (): Promise<Exit | undefined> =>
    outerExit ??
    new Promise<undefined>((resolve) => {
      const timer = setInterval(() => {
        if (!released && mayBeAlive(record)) return
        clearInterval(timer)
        // Let go of, not ended: whoever adopts it next will see its end.
        if (!released) resolve(undefined)
      }, adoptedPollMs)
      timer.unref()
    })

  const exited = (async (): Promise<Exit> => {
    const outer = await outerEnd()
    // Its group goes with the tree.
    const blamed = oomKills.blamed()
    // Whatever the wrapper's death left behind must not go on writing to the journal of an ended process.
    if (!released) await endTree(record)
    // Nothing is written down of a command that was never started, or on a full disk: then the end of the wrapper tells more.
    const exit = (await readExit(files.exit)) ?? outer ?? { code: null, signal: null }
    if (exit.signal === 'SIGKILL' && blamed) exit.outOfMemory = true
    if (isDiskFull(record.dir)) exit.diskFull = true
    ended.abort()
    input?.destroy()
    return exit
  })()

  const write = (line: string): Promise<void> =>
    new Promise((resolve, reject) => {
      input ??= openInput(files.stdin)
      input.write(line, (error) => {
        if (error) reject(error)
        // A pipe that was let go of in the middle of a write reports no error.
        else if (input?.destroyed === true) reject(new Error('the process has ended'))
        else resolve()
      })
    })

  return {
    record,
    write,
    output: (from, onCaughtUp) =>
      followJournal({
        ...{ path: files.stdout, from, ended: ended.signal },
        onCaughtUp: (position) => {
          oomKills.read(position)
          onCaughtUp?.()
        },
      }),
    exited,
    stop: async (graceMs, onIgnored) => {
      await terminate(record)
      const timer = setTimeout(() => {
        onIgnored?.()
        void endTree(record)
      }, graceMs)
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
