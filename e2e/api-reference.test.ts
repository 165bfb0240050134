import { execFileSync } from 'node:child_process'
import type { Client } from '@aicm/client'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { afterAll, beforeAll, expect } from 'vitest'
import { ensurePage } from './lib/page.ts'
import { send } from './lib/http.ts'
import { allRoutes } from './lib/routes.ts'

const test = requires('claude', 'linux')
let server: TestServer
let client: Client

beforeAll(async () => {
  ensurePage()
  server = await startTestServer()
  client = await server.client()
})
afterAll(() => server?.stop())

type Operation = {
  operationId: string
  summary: string
  tags: string[]
  security?: unknown
  parameters?: { name: string; in: string; required?: boolean; schema: object }[]
  requestBody?: { content: Record<string, { schema: object }> }
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>
}
type Document = {
  openapi: string
  info: { title: string; version: string }
  paths: Record<string, Record<string, Operation>>
  components: { securitySchemes: Record<string, object> }
}

const document = async (): Promise<Document> => {
  const { status, body } = await send(`${server.url}/openapi.json`, 'GET')
  expect(status).toBe(200)
  return body as Document
}

test('/openapi.json describes every route with its token, its bodies and its refusals, and nothing else', async () => {
  const { openapi, info, paths, components } = await document()
  expect(openapi).toMatch(/^3\.1\.\d$/)
  expect(info).toMatchObject({ title: 'AICode Manager', version: expect.stringMatching(/^\d+\.\d+\.\d+/) })
  expect(components.securitySchemes).toEqual({ bearer: expect.objectContaining({ type: 'http', scheme: 'bearer' }) })

  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const served = allRoutes.map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
  expect(described.toSorted()).toEqual(served.toSorted())

  for (const route of allRoutes) {
    const operation = paths[route.path.replaceAll(/:(\w+)/g, '{$1}')]?.[route.method.toLowerCase()]
    if (operation === undefined) throw new Error(`${route.id} is not described`)
    expect(operation).toMatchObject({ operationId: route.id, summary: route.summary, tags: [route.tag] })
    expect(operation.security).toEqual(route.auth !== 'none' ? [{ bearer: [] }] : undefined)
    expect(operation.responses[route.status], route.id).toBeDefined()
    expect(JSON.stringify(operation.responses.default?.content?.['application/json']?.schema), route.id).toContain(
      'requestId',
    )
    const inPath = operation.parameters?.filter((parameter) => parameter.in === 'path') ?? []
    expect(inPath.map(({ name }) => name)).toEqual([...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name))
    expect(inPath.every(({ required }) => required === true)).toBe(true)
    expect(operation.requestBody?.content['application/json']?.schema !== undefined, route.id).toBe(
      route.body !== undefined,
    )
  }
  expect(new Set(allRoutes.map(({ id }) => id)).size).toBe(allRoutes.length)
})

test('every reference in /openapi.json leads somewhere', async () => {
  const whole = await document()
  const references = [...JSON.stringify(whole).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path = '']) => path)
  for (const path of references) {
    const target = path
      .split('/')
      .reduce<unknown>(
        (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
        whole,
      )
    expect(target, path).toBeDefined()
  }
})

test('/docs serves the reference, all from this server', async () => {
  expect(await send(`${server.url}/docs`, 'GET')).toMatchObject({ status: 302 })
  const page = await send(`${server.url}/docs/`, 'GET')
  expect(page.status).toBe(200)
  expect(page.headers.get('content-type')).toContain('text/html')
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
  const sources = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source = '']) => source)
  expect(sources.length).toBeGreaterThan(0)
  for (const source of sources) {
    expect(source).not.toMatch(/^(https?:)?\/\//)
    expect((await send(new URL(source, `${server.url}/docs/`).href, 'GET')).status, source).toBe(200)
  }
})

test('whether the server lives and is ready can be asked without a token, and tells nothing else', async () => {
  for (const path of ['/healthz', '/readyz'])
    expect(await send(`${server.url}${path}`, 'GET')).toMatchObject({
      status: 200,
      body: { status: 'ok' },
      text: '{"status":"ok"}',
    })
})

test('/v1/health says what the server runs on, truthfully', async () => {
  const version = execFileSync(server.program, ['--version'], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent' },
  })
  const health = await client.health()
  expect(health).toMatchObject({
    claude: { path: server.program, version: /\d+\.\d+\.\d+/.exec(version)?.[0], error: null },
    modelApi: { mode: 'demo', credential: 'none', broker: 'up' },
    storage: { database: 'sqlite', keyValue: 'lmdb', schemaVersion: expect.stringMatching(/^\d{4}-/) },
    sessions: { total: 0, running: 0, processes: 0 },
  })
  expect(health.isolation).toMatchObject({ wanted: 'sealed', credentials: 'broker' })
  const parts = health.isolation.missing.map(({ part }) => part)
  expect(parts.includes('sealed')).toBe(health.isolation.level !== 'sealed')
  expect(parts.includes('a uid for each user')).toBe(!health.isolation.uidPerUser)
  expect(health.status).toBe(health.reasons.length === 0 ? 'ok' : 'degraded')

  const { id } = await client.sessions.create()
  await client.session(id).execute('@text(hello)').complete()
  expect((await client.health()).sessions).toEqual({
    ...{ total: 1, running: 0, processes: 1 },
    ...{ spares: 0, waiting: 0, diverted: 0 },
  })
  await client.sessions.delete(id)
  expect((await client.health()).sessions).toMatchObject({ total: 0 })
})

test('the page is served at / and for addresses of its own, with headers that keep strangers out', async () => {
  const html = { accept: 'text/html' }
  for (const path of ['/', '/sessions/ses_0123456789abcdefghjkmnpqrs', '/login', '/anything']) {
    const page = await send(`${server.url}${path}`, 'GET', { headers: html })
    expect(page.status, path).toBe(200)
    expect(page.text).toContain('<div id="root">')
    expect(page.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
  }
  const asset = /(?:src|href)="(\/assets\/[^"]+)"/.exec(
    (await send(`${server.url}/`, 'GET', { headers: html })).text,
  )?.[1]
  const answer = await send(`${server.url}${asset}`, 'GET')
  expect(answer.status).toBe(200)
  expect(answer.headers.get('cache-control')).toContain('immutable')
})
