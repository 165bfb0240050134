import { createHash } from 'node:crypto'
import { cpSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { node24, toolEnv } from './node24.js'
import { root } from './root.js'
import { run } from './run.js'

/**
 * What is built, each with the mark that says from which sources it was made: the page, and the programs as bundles, which
 * start in half the time of their sources.
 */
const web = { out: join(root, 'packages', 'web', 'dist'), packages: ['web', 'client', 'protocol'], scripts: [] }
const programs = {
  out: join(root, 'dist'),
  packages: ['server', 'broker', 'cli', 'client', 'protocol'],
  scripts: [join(root, 'scripts', 'lib', 'bundle.js')],
}
const notSources = new Set(['dist', 'node_modules', '.cache'])

/**
 * Node's arguments for the bundled server: what `npm start` runs. V8 lets the young generation of a server that was busy once
 * grow to 48 MB and keeps it: a quarter of that (12 MB: three times this figure) is as fast here (`aicm up` does the same).
 */
export const builtServer = ['--max-semi-space-size=4', join(programs.out, 'server', 'main.js')]

/** @typedef {{ out: string, packages: string[], scripts: string[] }} Artifact */

/** @param {string} folder @returns {string[]} */
const filesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      if (notSources.has(entry.name) || entry.name.includes('.test.')) return []
      const path = join(folder, entry.name)
      return entry.isDirectory() ? filesBelow(path) : [path]
    })

/**
 * One hash of all that it is built from: content, not dates, so that a checkout does not cause a build.
 * @param {Artifact} artifact
 */
const hashOfSources = ({ packages, scripts }) => {
  const hash = createHash('sha256')
  const files = packages.flatMap((name) => filesBelow(join(root, 'packages', name)))
  for (const file of [join(root, 'package-lock.json'), join(root, 'package.json'), ...scripts, ...files]) {
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(readFileSync(file))
      .update('\0')
  }
  return hash.digest('hex')
}

/**
 * Makes it anew unless it was made of these very sources.
 * @param {Artifact} artifact @param {string} what @param {() => boolean} make
 */
const ensure = (artifact, what, make) => {
  const stamp = join(artifact.out, '.sources')
  const hash = hashOfSources(artifact)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return
  console.error(`Building ${what} …`)
  if (!make()) throw new Error(`Building ${what} failed: the reason is above.`)
  writeFileSync(stamp, hash)
}

/** @param {string[]} args arguments for Node */
const node = (args) => run(node24(), args, { env: toolEnv() })

export const ensureWeb = () =>
  ensure(web, 'the web page', () =>
    node([
      join(root, 'node_modules', 'vite', 'bin', 'vite.js'),
      'build',
      join('packages', 'web'),
      '--logLevel',
      'warn',
    ]),
  )

/** Everything that an installed package has: the programs, the client's declarations and the page, in dist/. */
export const ensurePrograms = () => {
  ensureWeb()
  ensure(programs, 'the programs', () => {
    rmSync(programs.out, { recursive: true, force: true })
    return node([join(root, 'scripts', 'lib', 'bundle.js')]) && node([join(root, 'scripts', 'lib', 'declarations.js')])
  })
  const copied = join(programs.out, '.web-sources')
  const hash = readFileSync(join(web.out, '.sources'), 'utf8')
  // Left alone while it is right: somebody may be reading it.
  if (existsSync(copied) && readFileSync(copied, 'utf8') === hash) return
  rmSync(join(programs.out, 'web'), { recursive: true, force: true })
  cpSync(web.out, join(programs.out, 'web'), { recursive: true, filter: (path) => !path.endsWith('.sources') })
  writeFileSync(copied, hash)
}
