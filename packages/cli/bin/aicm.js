#!/usr/bin/env node
// The launcher of `aicm`. Plain JavaScript, because the Node it starts on may be too old for the program itself.
import { existsSync } from 'node:fs'
import module from 'node:module'
import { fileURLToPath } from 'node:url'

const oldest = 24

/** Loads the program into this process: its sources in a checkout, the bundle in an installed package. */
const load = async () => {
  const source = new URL('../src/main.ts', import.meta.url)
  const inCheckout = existsSync(source)
  const { XDG_CACHE_HOME, HOME } = process.env
  const personal = XDG_CACHE_HOME || (HOME && `${HOME}/.cache`)
  const cache = inCheckout
    ? fileURLToPath(new URL('../../../node_modules/.cache/aicm-compile', import.meta.url))
    : personal && `${personal}/aicm/compile`
  // Without a place of our own there is no cache: the shared temporary folder belongs to everybody.
  if (cache) module.enableCompileCache(cache)
  await import(inCheckout ? source.href : '../../../dist/cli/main.js')
}

/** The Node that npm installed beside the program. */
const bundledNode = () => {
  const name = `node-${process.platform}-${process.arch}`
  try {
    return module.createRequire(import.meta.url).resolve(`${name}/bin/node`)
  } catch {
    return undefined
  }
}

/** @param {string} node */
const restartOn = async (node) => {
  const { spawn } = await import('node:child_process')
  const { constants } = await import('node:os')
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal sends Ctrl-C to the child as well: forwarding it would be a second one, which means "leave at once".
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(`aicm: ${node} could not be started: ${error.message}`)
    process.exit(1)
  })
  child.on('close', (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)))
}

const main = async () => {
  if (Number.parseInt(process.versions.node) >= oldest) return load()
  const node = bundledNode()
  if (node) return restartOn(node)
  console.error(
    `aicm needs Node ${oldest} or newer; this is ${process.version}, and no Node is packaged for ${process.platform}-${process.arch}.\n` +
      `Install Node ${oldest} (https://nodejs.org) and run the command again.`,
  )
  process.exitCode = 1
}

await main()
