import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openBroker } from './broker.ts'
import { openLog } from './log.ts'

const usage =
  'Usage: node main.ts --dir DIR\nThe broker between claude and the model API. The AICode Manager server starts it.\n'

const parseDir = (): string | undefined => {
  try {
    return parseArgs({ options: { dir: { type: 'string' } } }).values.dir
  } catch {
    return undefined
  }
}

const dir = parseDir()
if (dir === undefined || dir === '') {
  process.stderr.write(usage)
  process.exit(2)
}

// Nothing it makes is anybody else's, not even for the moment until its mode is set.
process.umask(0o077)
// Once started it outlives whoever reads its output, and a warning into a closed pipe would end it.
process.removeAllListeners('warning')
process.on('SIGHUP', () => {})
// Usually nobody sees its stderr. The log takes the reason of a crash, and the crash goes on.
process.on('uncaughtExceptionMonitor', (error) =>
  openLog(join(dir, 'broker.log')).write('crashed', { error: error.stack ?? error.message }),
)

const broker = await openBroker({ dir })
if (broker !== null) {
  process.on('SIGTERM', () => void broker.stop())
  process.on('SIGINT', () => void broker.stop())
  await broker.stopped
}
process.exit(0)
