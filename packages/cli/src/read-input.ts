import { createInterface } from 'node:readline'
import { CliError, exitCodes, usageError } from './cli-error.ts'
import type { Input, Io, Output } from './io.ts'

/** All that is on stdin. Undefined when nothing at all has come within `patienceMs`: it may be a pipe nobody writes to. */
export const readAll = async (stdin: Input, patienceMs?: number): Promise<string | undefined> => {
  const timer = patienceMs === undefined ? undefined : setTimeout(() => stdin.destroy(), patienceMs)
  let text = ''
  const decoder = new TextDecoder()
  try {
    for await (const chunk of stdin) {
      clearTimeout(timer)
      text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
    }
    return text + decoder.decode()
  } catch (error) {
    // Destroyed by the timer above; anything else is a real failure to read.
    if (text === '' && stdin.destroyed && patienceMs !== undefined) return undefined
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** Lines typed by a person. The terminal stays in its own line mode, so that Ctrl-C is still a signal. */
export const readLines = (
  io: Pick<Io, 'stdin' | 'stderr'>,
  { onLine, onEnd }: { onLine: (line: string) => void; onEnd?: () => void },
): (() => void) => {
  const lines = createInterface({ input: io.stdin, terminal: false })
  lines.on('line', onLine)
  if (onEnd !== undefined) lines.on('close', onEnd)
  return () => {
    lines.off('line', onLine)
    if (onEnd !== undefined) lines.off('close', onEnd)
    lines.close()
  }
}

/** Asks on a terminal for what must not be seen while it is typed. */
export const readSecret = (question: string, stdin: Input, stderr: Output): Promise<string> =>
  new Promise((resolve, reject) => {
    stderr.write(question)
    stdin.setRawMode?.(true)
    stdin.setEncoding('utf8')
    let typed = ''
    const finish = (settle: () => void) => {
      stdin.off('data', onData)
      stdin.setRawMode?.(false)
      stdin.pause()
      stderr.write('\n')
      settle()
    }
    const onData = (piece: string) => {
      for (const char of piece) {
        if (char === '\r' || char === '\n' || char === '\u0004') return finish(() => resolve(typed))
        if (char === '\u0003') return finish(() => reject(leave()))
        if (char === '\u007f' || char === '\b') typed = typed.slice(0, -1)
        else if (char === '\u0015') typed = ''
        else if (char >= ' ') typed += char
      }
    }
    stdin.on('data', onData)
    stdin.resume()
  })

/** A new password, typed twice unseen. */
export const readNewPassword = async ({ stdin, stderr }: Pick<Io, 'stdin' | 'stderr'>): Promise<string> => {
  const password = await readSecret('New password (12 characters or more): ', stdin, stderr)
  if ((await readSecret('Again: ', stdin, stderr)) !== password)
    throw usageError('The two new passwords are not the same.')
  return password
}

const leave = (): CliError =>
  new CliError({ code: 'interrupted', message: 'Interrupted.', exitCode: exitCodes.interrupted })
