// Loaded into the server before its program: on SIGUSR2 it writes down how much of its heap is in use after a collection, in
// bytes, to `heap` in its home. Needs --expose-gc.
import { renameSync, writeFileSync } from 'node:fs'

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const path = `${process.env.HOME}/heap`
  writeFileSync(`${path}.new`, String(process.memoryUsage().heapUsed))
  renameSync(`${path}.new`, path)
})
