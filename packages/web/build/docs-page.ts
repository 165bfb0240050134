import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Plugin } from 'vite'

const own = ['index.html', 'init.js', 'docs.css']
const swagger = ['swagger-ui.css', 'swagger-ui-bundle.js']
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
}

/** Puts the API reference (our page around swagger-ui) into the build as /docs/…, and serves it in development. */
export const docsPage = (): Plugin => {
  const ownFolder = join(import.meta.dirname, '..', 'docs-page')
  const swaggerFolder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  const pathOf = (name: string) => join(swagger.includes(name) ? swaggerFolder : ownFolder, name)

  return {
    name: 'aicm-docs-page',
    async generateBundle() {
      for (const name of [...own, ...swagger]) {
        this.emitFile({ type: 'asset', fileName: `docs/${name}`, source: await readFile(pathOf(name)) })
      }
    },
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const match = /^\/docs(?:\/([\w.-]*))?(?:\?|$)/.exec(request.url ?? '')
        const name = match?.[1] || 'index.html'
        if (match === null || ![...own, ...swagger].includes(name)) return next()
        readFile(pathOf(name)).then((source) => {
          response.setHeader('content-type', types[name.slice(name.lastIndexOf('.'))] ?? 'application/octet-stream')
          response.end(source)
        }, next)
      })
    },
  }
}
