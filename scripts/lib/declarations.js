// The types of the client library, for those who install the package: dist/types/{client,protocol}.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { toolEnv } from './node24.js'
import { root } from './root.js'
import { run } from './run.js'

const types = join(root, 'dist', 'types')

if (!run('tsc', ['-p', join('scripts', 'tsconfig.declarations.json')], { env: toolEnv() })) process.exit(1)

// The workspace is not there once installed, and neither are the sources: name the declarations themselves.
for (const name of readdirSync(types, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.d.ts'))) {
  const file = join(types, name)
  const protocol = relative(dirname(file), join(types, 'protocol', 'src', 'index.js')).replaceAll('\\', '/')
  const text = readFileSync(file, 'utf8')
    .replaceAll(/(['"])@aicm\/protocol\1/g, `'${protocol}'`)
    .replaceAll(/((?:from|import\()\s*['"]\.[^'"]*)\.ts(?=['"])/g, '$1.js')
  if (text.includes('@aicm/'))
    throw new Error(`${name} names a package of the workspace, which is not installed with it`)
  writeFileSync(file, text)
}
