// Checks the imports of every source file against the table in rooms.js. `node scripts/boundaries.js [folder]`
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, posix, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { keepers, rooms, sources } from './rooms.js'

const isSource = /\.[cm]?[jt]sx?$/
const isTest = /\.test\.[cm]?[jt]sx?$/
const notSources = new Set(['node_modules', 'dist', 'fixtures', 'public'])

/** `import … from 'x'`, `export … from 'x'`, `import 'x'`, `import('x')`, `import type`, `require('x')`. */
const statics = /^[ \t]*(?:import|export)\b[^'"`]*?\bfrom\s*(['"])([^'"\n]+)\1|^[ \t]*import\s*(['"])([^'"\n]+)\3/gm
const calls = /\b(?:import|require|import\.meta\.resolve)\s*\(\s*(['"`])([^'"`\n$]+)\1/g
const comment = /^\s*(\*|\/\/|\/\*)/

/**
 * The specifiers a file imports, each with its line. Reads text, not syntax: it may see one too many, never one too few.
 * @param {string} text
 * @returns {{ specifier: string, line: number }[]}
 */
export const importsOf = (text) => {
  const lines = text.split('\n')
  const found = [...text.matchAll(statics), ...text.matchAll(calls)].map((match) => ({
    specifier: match[2] ?? match[4] ?? '',
    line: text.slice(0, match.index + match[0].length).split('\n').length,
  }))
  return found.filter(({ line }) => !comment.test(lines[line - 1] ?? ''))
}

/** @param {string} path @param {string} folder */
const isWithin = (path, folder) => path === folder || path.startsWith(`${folder}/`)

/**
 * @param {string} path
 * @param {readonly import('./rooms.js').Room[]} [table]
 */
export const roomOf = (path, table = rooms) =>
  table.filter((room) => isWithin(path, room.path)).toSorted((a, b) => b.path.length - a.path.length)[0]

/**
 * @param {string} root
 * @param {string} path
 * @returns {string[]} source files, relative, with forward slashes
 */
const sourcesBelow = (root, path) => {
  const full = join(root, path)
  if (!existsSync(full)) return []
  if (statSync(full).isFile()) return [path]
  return readdirSync(full, { withFileTypes: true }).flatMap((entry) => {
    if (notSources.has(entry.name)) return []
    const below = posix.join(path, entry.name)
    if (entry.isDirectory()) return sourcesBelow(root, below)
    return isSource.test(entry.name) ? [below] : []
  })
}

/** Where a specifier leads, as a path below the repository; undefined: a package of npm's or of Node's. @param {string} file @param {string} specifier */
const targetOf = (file, specifier) => {
  const path = specifier.replace(/\?.*$/, '')
  const own = /^@aicm\/([^/]+)(?:\/(.*))?$/.exec(path)
  if (own) return posix.join('packages', own[1] ?? '', 'src', own[2] ?? 'index.ts')
  return path.startsWith('.') ? posix.join(posix.dirname(file), path) : undefined
}

/** @param {string} file @param {string} specifier @returns {string | undefined} what is wrong with it */
const problemWith = (file, specifier) => {
  const from = roomOf(file)
  const target = targetOf(file, specifier)
  if (from === undefined || isTest.test(file) || from.may === 'anything') return undefined
  if (target === undefined) {
    const keeper = keepers.find(
      ({ module, within, onlyIn }) =>
        module.test(specifier) && isWithin(file, within) && !onlyIn.some((place) => isWithin(file, place)),
    )
    return keeper && `${keeper.within} may not import '${specifier}' here: ${keeper.because}`
  }
  const to = roomOf(target)
  if (to === undefined) return `'${specifier}' leads to ${target}, which is in no room of scripts/rooms.js`
  if (isTest.test(target)) return `'${specifier}' is a test: only tests import tests`
  if (to === from || from.may.includes(to.path)) return undefined
  return `${from.path} may not import ${to.path} ('${specifier}'); it may import: ${from.may.join(', ') || 'nothing'}`
}

/**
 * @param {string} root
 * @returns {{ files: number, imports: number, problems: string[] }}
 */
export const checkBoundaries = (root) => {
  const files = sources.flatMap((path) => sourcesBelow(root, path))
  const homeless = files.filter((file) => roomOf(file) === undefined)
  const problems = homeless.map(
    (file) => `${file}: in no room. Add its folder to scripts/rooms.js and say what it may import, or move the file.`,
  )
  let imports = 0
  for (const file of files) {
    for (const { specifier, line } of importsOf(readFileSync(join(root, file), 'utf8'))) {
      imports++
      const problem = problemWith(file, specifier)
      if (problem) problems.push(`${file}:${line}: ${problem}`)
    }
  }
  // A check that looked at nothing must not pass.
  if (files.length === 0) problems.push(`no source files below ${root}: nothing was checked`)
  if (files.length > 0 && imports === 0) problems.push(`no imports in ${files.length} files: nothing was checked`)
  return { files: files.length, imports, problems }
}

const main = () => {
  const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'))
  const { files, imports, problems } = checkBoundaries(root)
  for (const problem of problems) console.error(problem)
  console.log(
    `${imports} imports in ${files} files, ${problems.length} against the rules (${relative('.', root) || '.'})`,
  )
  process.exitCode = problems.length > 0 ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
