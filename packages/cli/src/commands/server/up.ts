import { spawn } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Io } from '../../io.ts'
import { reportError } from '../../report-error.ts'
import { createStyle } from '../../style.ts'

/** The server's entry: its sources in a checkout, its bundle in an installed package. */
const serverMain = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../../server/src/main.ts' : '../server/main.js', import.meta.url),
)

/** Runs the server as this command: same terminal, same signals, same exit code. */
export const up = (io: Io, flags: string[]): Promise<ExitCode> =>
  new Promise((resolve) => {
    const cache = getCompileCacheDir()
    // A small young generation: a server that was busy once would keep 48 MB for it.
    const child = spawn(process.execPath, ['--max-semi-space-size=4', serverMain, ...flags], {
      stdio: 'inherit',
      // The folder that is reported is one of this Node version, below the one to set.
      env: {
        ...io.env,
        ...(cache === undefined || io.env.NODE_COMPILE_CACHE ? {} : { NODE_COMPILE_CACHE: dirname(cache) }),
      },
    })
    const handlers = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => {
      const handler = () => {
        // A terminal sends Ctrl-C to the server as well: forwarding it would be a second one.
        if (signal !== 'SIGINT' || io.stdin.isTTY !== true) child.kill(signal)
      }
      process.on(signal, handler)
      return () => process.off(signal, handler)
    })
    const end = (exitCode: ExitCode) => {
      for (const stop of handlers) stop()
      resolve(exitCode)
    }
    child.on('error', (error) => {
      const message = `The server could not be started: ${error.message}.`
      reportError(io.stderr, createStyle(false), false, { code: 'start_failed', message, exitCode: exitCodes.failed })
      end(exitCodes.failed)
    })
    child.on('close', (code, signal) =>
      end(signal === null ? (code ?? exitCodes.failed) : 128 + constants.signals[signal]),
    )
  })
