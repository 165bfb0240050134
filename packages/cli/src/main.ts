import { exitCodes } from './cli-error.ts'
import { processIo } from './io.ts'
import { runCli } from './program.ts'

/** Waits until all is written; the error, when it could not be. Nobody reading it any more is none. */
const drained = (stream: NodeJS.WriteStream) =>
  new Promise<Error | undefined>((resolve) => {
    stream.on('error', (error) => resolve('code' in error && error.code === 'EPIPE' ? undefined : error))
    if (stream.destroyed) resolve(undefined)
    else stream.write('', () => setImmediate(resolve, undefined))
  })

let exitCode = await runCli(process.argv.slice(2), processIo())
const unwritten = await drained(process.stdout)
if (unwritten !== undefined && exitCode === exitCodes.ok) {
  exitCode = exitCodes.failed
  process.stderr.write(`error: The output could not be written: ${unwritten.message}.\n`)
}
await drained(process.stderr)
// Nothing else is waited for: not a socket that closes, nor a stdin that stays open.
process.exit(exitCode)
