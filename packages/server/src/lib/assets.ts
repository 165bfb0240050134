import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What the program finds beside itself: absolute paths, the same names in a checkout and in an installed package. */
export type Assets = {
  /** The program's own folder: the checkout, or the installed package. */
  root: string
  /** Entry of the server process. */
  serverMain: string
  /** Entry of the broker process. */
  brokerMain: string
  /** The program that touches users' files. */
  filesHelper: string
  /** The launcher of the command line. */
  cliMain: string
  /** Folder with the built web page; it exists once the page was built. */
  webRoot: string
  /** The release, as in package.json. */
  version: string
}

const versionIn = (file: string): string => {
  const manifest: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (
    typeof manifest === 'object' &&
    manifest !== null &&
    'version' in manifest &&
    typeof manifest.version === 'string'
  ) {
    return manifest.version
  }
  throw new Error(`${file} names no version: the installation is damaged`)
}

/**
 * A checkout runs the sources, an installed package runs bundles: every module of a bundle lies in `dist/<name>/`.
 * @param moduleUrl the caller's `import.meta.url`; a `.ts` file means a checkout
 */
export const locateAssets = (moduleUrl: string): Assets => {
  const inCheckout = moduleUrl.endsWith('.ts')
  const root = fileURLToPath(new URL(inCheckout ? '../../../..' : '../..', moduleUrl)).replace(/[\\/]$/, '')
  const main = (name: string) =>
    inCheckout ? join(root, 'packages', name, 'src', 'main.ts') : join(root, 'dist', name, 'main.js')
  return {
    root,
    serverMain: main('server'),
    brokerMain: main('broker'),
    filesHelper: inCheckout
      ? join(root, 'packages', 'server', 'src', 'files', 'helper.ts')
      : join(root, 'dist', 'files', 'main.js'),
    cliMain: join(root, 'packages', 'cli', 'bin', 'aicm.js'),
    webRoot: inCheckout ? join(root, 'packages', 'web', 'dist') : join(root, 'dist', 'web'),
    version: versionIn(join(root, 'package.json')),
  }
}

export const assets: Assets = locateAssets(import.meta.url)
