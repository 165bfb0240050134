import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { node24, toolEnv } from './node24.js'
import { root } from './root.js'
import { run } from './run.js'

/** Where the page's build lies, and the mark in it that says from which sources it was made. */
export const webBuild = join(root, 'packages', 'web', 'dist')
const stamp = join(webBuild, '.sources')

const packages = ['web', 'client', 'protocol']
const notSources = new Set(['dist', 'node_modules', '.cache'])

/** @param {string} folder @returns {string[]} */
const filesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (notSources.has(entry.name) || entry.name.includes('.test.')) return []
      const path = join(folder, entry.name)
      return entry.isDirectory() ? filesBelow(path) : [path]
    })

/** One hash of all that the page is built from: content, not dates, so that a checkout does not cause a build. */
export const hashOfSources = () => {
  const hash = createHash('sha256')
  const files = packages.flatMap((name) => filesBelow(join(root, 'packages', name)))
  for (const file of [join(root, 'package-lock.json'), ...files]) {
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(readFileSync(file))
      .update('\0')
  }
  return hash.digest('hex')
}

/** Builds the web page unless the build is of these very sources. */
export const ensureWeb = () => {
  const hash = hashOfSources()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  console.error('Building the web page …')
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js')
  if (!run(node24(), [vite, 'build', join('packages', 'web'), '--logLevel', 'warn'], { env: toolEnv() })) {
    throw new Error('The web page could not be built: the reason is above.')
  }
  writeFileSync(stamp, hash)
}
