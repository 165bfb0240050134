// Loaded into a server before its own program (`node --import`): while the file named by FAIL_SYNCS exists, the disk takes
// nothing for good, as far as the server can tell.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const { fdatasync, existsSync } = fs
const failing = process.env['FAIL_SYNCS'] ?? ''
const error = () => Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })

Object.assign(fs, {
  /** @param {number} fd @param {(error: Error | null) => void} told */
  fdatasync: (fd, told) => (existsSync(failing) ? queueMicrotask(() => told(error())) : fdatasync(fd, told)),
})

const open = fs.promises.open
/** @param {Parameters<typeof open>} given */
fs.promises.open = async (...given) => {
  const handle = await open(...given)
  const datasync = handle.datasync.bind(handle)
  handle.datasync = async () => {
    if (existsSync(failing)) throw error()
    await datasync()
  }
  return handle
}
syncBuiltinESMExports()
