// `npm run check-package`: packs the package, installs it into an empty folder as a stranger would, measures it and starts
// its command there. Fails when the production install is over budget. The budget leaves out `claude` and Node themselves.
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemEnv } from './lib/node24.js'
import { root } from './lib/root.js'
import { capture } from './lib/run.js'

const budget = { megabytes: 120, packages: 200 }
const isBeside = (/** @type {string} */ name) => name.startsWith('@anthropic-ai/') || name.startsWith('node-linux-')

/** Bytes on disk below a path. @param {string} path @returns {number} */
const sizeOf = (path) => {
  const { blocks } = lstatSync(path)
  if (!lstatSync(path).isDirectory()) return blocks * 512
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), blocks * 512)
}

/** @param {string} command @param {string[]} args @param {string} cwd */
const must = async (command, args, cwd) => {
  /** @type {NodeJS.ProcessEnv} */
  const env = systemEnv()
  // Set by the `npm run` we may be part of: it would make npm work on this repository instead.
  delete env.npm_config_local_prefix
  const { ok, output } = await capture(command, args, { cwd, env })
  if (!ok) throw new Error(`${command} ${args.join(' ')} failed in ${cwd}:\n${output}`)
  return output
}

/** @param {string} folder the folder it was installed into */
const measure = (folder) => {
  const modules = join(folder, 'node_modules')
  /** @type {{ packages: Record<string, object> }} */
  const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'))
  const names = Object.keys(packages).filter((path) => !isBeside(path.replace(/^.*node_modules\//, '')))
  const tops = readdirSync(modules).flatMap((name) =>
    name.startsWith('@') ? readdirSync(join(modules, name)).map((below) => `${name}/${below}`) : [name],
  )
  const sizes = tops
    .filter((name) => !isBeside(name))
    .map((name) => ({ name, megabytes: sizeOf(join(modules, name)) / 1e6 }))
    .toSorted((a, b) => b.megabytes - a.megabytes)
  return { packages: names.length, megabytes: sizes.reduce((sum, { megabytes }) => sum + megabytes, 0), sizes }
}

const main = async () => {
  // `--keep FOLDER` leaves the installation in FOLDER/empty, for somebody who wants to run it.
  const [flag, kept] = process.argv.slice(2)
  const folder = flag === '--keep' && kept !== undefined ? kept : mkdtempSync(join(tmpdir(), 'aicm-package-'))
  try {
    await must('npm', ['pack', '--pack-destination', folder], root)
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    if (tarball === undefined) throw new Error('npm pack left no package behind')
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    writeFileSync(join(empty, 'package.json'), '{ "private": true }\n')
    await must('npm', ['install', '--no-audit', '--no-fund', join('..', tarball)], empty)
    const help = await must('npx', ['--no-install', 'aicm', '--help'], empty)
    if (!/usage/i.test(help)) throw new Error(`npx aicm --help does not look like help:\n${help}`)

    const { megabytes, packages, sizes } = measure(empty)
    console.log(`${tarball}: ${(lstatSync(join(folder, tarball)).size / 1e6).toFixed(1)} MB packed`)
    console.log(
      `production install: ${megabytes.toFixed(1)} MB of ${budget.megabytes}, ${packages} packages of ${budget.packages}`,
    )
    for (const { name, megabytes: size } of sizes.slice(0, 6))
      console.log(`  ${size.toFixed(1).padStart(6)} MB  ${name}`)
    if (megabytes > budget.megabytes || packages > budget.packages)
      throw new Error('The production install is over budget.')
  } finally {
    if (folder !== kept) rmSync(folder, { recursive: true, force: true })
  }
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
