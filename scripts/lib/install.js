import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { bundledNode, systemEnv } from './node24.js'
import { root } from './root.js'
import { run } from './run.js'

/** @param {string} path @returns {{ packages: Record<string, { version?: string, optional?: boolean, devOptional?: boolean }> }} */
const readLock = (path) => JSON.parse(readFileSync(path, 'utf8'))

/**
 * Whether node_modules, by npm's own record of it, is what the lock asks for: somebody may have run `npm ci` by hand.
 * @param {string} folder
 */
export const matchesLock = (folder) => {
  const record = join(folder, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  const wanted = readLock(join(folder, 'package-lock.json')).packages
  const present = readLock(record).packages
  const versions = Object.entries(present).every(([path, { version }]) => wanted[path]?.version === version)
  const complete = Object.entries(wanted).every(
    ([path, { optional, devOptional }]) =>
      !path.includes('node_modules/') || optional || devOptional || present[path] !== undefined,
  )
  return versions && complete
}

/** npm 10 forgets the link to a `node` that several platform packages bring; with it, every `npm run` uses Node 24. */
const linkNode = () => {
  const link = join(root, 'node_modules', '.bin', 'node')
  if (existsSync(bundledNode) && !existsSync(link)) symlinkSync(relative(dirname(link), bundledNode), link)
}

/** Installs what the lock names unless that was done before. The second call costs one hash of the lock. */
export const ensureInstalled = () => {
  const lock = readFileSync(join(root, 'package-lock.json'))
  const hash = createHash('sha256').update(lock).digest('hex')
  const stamp = join(root, 'node_modules', '.aicm-lock')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  if (!matchesLock(root)) {
    rmSync(stamp, { force: true })
    // No dependency's install script is needed (see allowScripts in package.json), and older npm would run them all.
    console.error('Installing packages (npm ci), this takes about a minute …')
    if (!run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { env: systemEnv() })) {
      throw new Error('npm ci failed: the reason is above. Nothing was started.')
    }
  }
  linkNode()
  writeFileSync(stamp, hash)
}
