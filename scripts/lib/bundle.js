// Bundles each program of the package into a folder of its own, dist/<name>/. All files of a bundle lie side by side there:
// what a module finds relative to import.meta.url does not depend on the chunk it ended up in.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'
import { root } from './root.js'

/** Entry files by the name of the bundle; the client is a library, the others are programs. */
const bundles = {
  server: 'packages/server/src/main.ts',
  broker: 'packages/broker/src/main.ts',
  files: 'packages/server/src/files/helper.ts',
  cli: 'packages/cli/src/main.ts',
  client: 'packages/client/src/index.ts',
}

for (const [name, entry] of Object.entries(bundles)) {
  if (!existsSync(join(root, entry))) throw new Error(`${entry} is missing: the package would be without its ${name}`)
  await build({
    configFile: false,
    root,
    publicDir: false,
    logLevel: 'warn',
    // Packages of npm's stay outside: they are the dependencies of the installed package. Our own are part of the bundle.
    // Those of many small modules are taken in too: resolving them one by one would be half of the server's start.
    ssr: { noExternal: [/^@aicm\//, 'typebox', 'jose', 'lru-cache', 'kysely'] },
    build: {
      ssr: entry,
      outDir: join('dist', name),
      target: 'node24',
      minify: false,
      sourcemap: false,
      rolldownOptions: {
        output: {
          entryFileNames: name === 'client' ? 'index.js' : 'main.js',
          chunkFileNames: '[name]-[hash].js',
        },
      },
    },
  })
}
