import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Client } from '@aicm/client'
import { routes, type FileEntry, type Workspace } from '@aicm/protocol'
import { requires } from '@aicm/testing/requires'
import { startTestServer, type TestServer } from '@aicm/testing/start-server'
import { until } from '@aicm/testing/until'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { startAicm } from './lib/aicm.ts'
import { expectRefusal, send } from './lib/http.ts'

const isolated = requires('linux', 'bwrap')

for (const level of ['sealed', 'process'] as const)
  describe(`files, with isolation ${level}`, () => {
    const test = level === 'sealed' ? isolated : requires('linux', 'prlimit')
    let server: TestServer
    let owner: Client
    let token: string
    let workspace: Workspace
    let base: string

    beforeAll(async () => {
      server = await startTestServer({ claude: 'fake', args: ['--isolation', level, '--max-file-size', '2m'] })
      token = await server.addUser('owner')
      owner = await server.client({ token })
      workspace = await owner.workspaces.create({ name: 'files' })
      base = `${server.url}/v1/workspaces/${workspace.id}/files`
    })
    afterAll(() => server?.stop())

    const at = (...names: string[]): string => join(workspace.path, ...names)
    const content = (path: string): string => `${base}/content?path=${encodeURIComponent(path)}`
    const read = (path: string, headers: Record<string, string> = {}, as = token) =>
      send(content(path), 'GET', { token: as, headers })
    const write = (path: string, body: string, headers: Record<string, string> = {}, as = token) =>
      send(content(path), 'PUT', {
        token: as,
        body,
        headers: { 'content-type': 'application/octet-stream', ...headers },
      })
    const remove = (path: string, headers: Record<string, string> = {}, as = token) =>
      send(`${base}?path=${encodeURIComponent(path)}`, 'DELETE', { token: as, headers })

    test('a file is written, listed, read and removed, and belongs to whom the owner’s sessions run as', async () => {
      const written = await write('a.txt', 'hello')
      expect(written).toMatchObject({ status: 200, body: { name: 'a.txt', type: 'file', size: 5, target: null } })
      expect(written.headers.get('etag')).toBe((written.body as FileEntry).etag)
      expect(readFileSync(at('a.txt'), 'utf8')).toBe('hello')
      expect(statSync(at('a.txt')).uid).toBe(statSync(workspace.path).uid)
      if (process.getuid?.() === 0) expect(statSync(at('a.txt')).uid).not.toBe(0)
      const { entries, nextCursor } = await owner.call(routes.files.list, { params: workspace, query: {} })
      expect(entries).toEqual([written.body])
      expect(nextCursor).toBeNull()
      expect(await read('a.txt')).toMatchObject({ status: 200, text: 'hello' })
      expect(await remove('a.txt')).toMatchObject({ status: 204 })
      expectRefusal(await read('a.txt'), 'file_not_found')
      expectRefusal(await remove('a.txt'), 'file_not_found')
    })

    test('whatever it is, it is served to be saved, and no name gets out of its header', async () => {
      for (const name of ['page.html', 'line\r\nset-cookie: a=b', '"; filename=x', 'naïve ☃.svg', "it's (a) *.js"]) {
        await write(name, '<script>alert(1)</script>')
        const answer = await read(name)
        expect(answer.status, name).toBe(200)
        expect(Object.fromEntries(answer.headers)).toMatchObject({
          'content-type': 'application/octet-stream',
          'x-content-type-options': 'nosniff',
          'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
          'cache-control': 'no-store',
        })
        expect(answer.headers.get('set-cookie')).toBeNull()
        const [, plain = '', whole = ''] =
          /^attachment; filename="([ -!#-~]*)"; filename\*=UTF-8''([A-Za-z0-9%._~!-]+)$/.exec(
            answer.headers.get('content-disposition') ?? '',
          ) ?? []
        expect(decodeURIComponent(whole)).toBe(name)
        expect(plain).not.toMatch(/[\\%]/)
        await remove(name)
      }
    })

    test('a part of a file is read, unless it is another file by now', async () => {
      const etag = (await write('parts', '0123456789')).headers.get('etag') ?? ''
      const part = async (range: string, more: Record<string, string> = {}) => {
        const { status, text, headers } = await read('parts', { range, ...more })
        return [status, status === 416 ? '' : text, headers.get('content-range')]
      }
      expect(await part('bytes=2-4')).toEqual([206, '234', 'bytes 2-4/10'])
      expect(await part('bytes=7-')).toEqual([206, '789', 'bytes 7-9/10'])
      expect(await part('bytes=-3')).toEqual([206, '789', 'bytes 7-9/10'])
      expect(await part('bytes=-30')).toEqual([206, '0123456789', 'bytes 0-9/10'])
      expect(await part('bytes=5-99')).toEqual([206, '56789', 'bytes 5-9/10'])
      expect(await part('bytes=10-')).toEqual([416, '', 'bytes */10'])
      expect(await part('bytes=-0')).toEqual([416, '', 'bytes */10'])
      for (const odd of ['bytes=4-2', 'bytes=a-b', 'bytes=-', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=1-2x'])
        expect(await part(odd), odd).toEqual([200, '0123456789', null])
      expect(await part('bytes=0-0', { 'if-range': etag })).toEqual([206, '0', 'bytes 0-0/10'])
      expect(await part('bytes=0-0', { 'if-range': '"other"' })).toEqual([200, '0123456789', null])
      expect(await read('parts', { 'if-none-match': `"x", W/${etag}` })).toMatchObject({ status: 304, text: '' })
      expectRefusal(await read('parts', { 'if-match': '"x"' }), 'precondition_failed')
      const head = await send(content('parts'), 'HEAD', { token })
      expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '10'])
      expect((await write('empty', '')).status).toBe(200)
      expect(await read('empty')).toMatchObject({ status: 200, text: '' })
      expectRefusal(await read('empty', { range: 'bytes=0-' }), 'range_not_satisfiable')
    })

    test('nothing that somebody else wrote meanwhile is lost, whoever comes at once', async () => {
      const { etag } = (await write('shared', 'first')).body as { etag: string }
      expectRefusal(await write('shared', 'second', { 'if-none-match': '*' }), 'precondition_failed')
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, index) => write('shared', `from ${index}`, { 'if-match': etag })),
      )
      const [won, ...others] = answers.filter(({ status }) => status === 200)
      expect(others).toEqual([])
      for (const answer of answers) if (answer !== won) expectRefusal(answer, 'precondition_failed')
      expect((await read('shared')).text).toMatch(/^from \d$/)
      const made = await Promise.all(
        Array.from({ length: 8 }, (_, index) => write('new', `from ${index}`, { 'if-none-match': '*' })),
      )
      expect(made.filter(({ status }) => status === 200)).toHaveLength(1)
      expectRefusal(await remove('shared', { 'if-match': etag }), 'precondition_failed')
      expect(readdirSync(workspace.path).filter((name) => name.startsWith('.'))).toEqual([])
    })

    test('folders are made, listed in pages and removed when they are empty', async () => {
      const make = (path: string) => owner.call(routes.files.makeFolder, { params: workspace, body: { path } })
      expect(await make('folder')).toMatchObject({ name: 'folder', type: 'folder' })
      await expect(make('folder')).rejects.toMatchObject({ code: 'file_exists', status: 409 })
      await expect(make('no/where')).rejects.toMatchObject({ code: 'file_not_found' })
      await expect(make('\ud800')).rejects.toMatchObject({ code: 'invalid_request' })
      for (const name of ['c', 'a', 'b']) await write(`folder/${name}`, name)
      const names: string[] = []
      let cursor: string | undefined
      do {
        const query = { path: 'folder', limit: 2, ...(cursor !== undefined && { cursor }) }
        const page = await owner.call(routes.files.list, { params: workspace, query })
        names.push(...page.entries.map(({ name }) => name))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(names).toEqual(['a', 'b', 'c'])
      expectRefusal(await remove('folder'), 'folder_not_empty')
      expectRefusal(await read('folder'), 'not_a_file')
      expectRefusal(await write('folder', 'x'), 'not_a_file')
      expectRefusal(await write('folder/a/b', 'x'), 'not_a_folder')
      for (const name of names) await remove(`folder/${name}`)
      expect(await remove('folder')).toMatchObject({ status: 204 })
    })

    test('what is too large, or no bytes, is refused and changes nothing', async () => {
      await write('limit', 'before')
      const large = 'x'.repeat(3 * 2 ** 20)
      expectRefusal(await write('limit', large), 'payload_too_large')
      // Its length is not known before.
      const chunked = await new Promise<number | undefined>((resolve, reject) => {
        const sent = request(content('limit'), {
          method: 'PUT',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
        })
        sent.on('response', (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        sent.on('error', reject)
        for (let at = 0; at < 3; at++) sent.write(large.slice(0, 2 ** 20))
        sent.end()
      })
      expect(chunked).toBe(413)
      for (const type of ['application/json', 'text/plain', 'text/html'])
        expectRefusal(await write('limit', '{}', { 'content-type': type }), 'unsupported_media_type')
      for (const path of ['..%2f..', '%ff', '%c0%ae%c0%ae', '%'])
        expectRefusal(await send(`${base}/content?path=${path}`, 'GET', { token }), 'invalid_request')
      expect((await read('limit')).text).toBe('before')
    })

    test('an upload that is cut off changes nothing and leaves nothing', async () => {
      await write('cut', 'before')
      const sent = request(content('cut'), {
        method: 'PUT',
        headers: {
          ...{ authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
          'content-length': 1_000_000,
        },
      })
      sent.on('error', () => undefined)
      sent.write('x'.repeat(200_000))
      const begun = () => readdirSync(workspace.path).some((name) => name.startsWith('.aicm-'))
      await until('it has begun', begun)
      sent.destroy()
      await until('it is gone', () => !begun())
      expect((await read('cut')).text).toBe('before')
    })

    test('a viewer reads, a driver writes, others know of nothing', async () => {
      const guestToken = await server.addUser('guest')
      const strangerToken = await server.addUser('stranger')
      const share = (access: 'viewer' | 'driver') =>
        owner.call(routes.shares.shareWorkspace, { params: workspace, body: { username: 'guest', access } })
      await write('theirs', 'text')
      await share('viewer')
      expect((await read('theirs', {}, guestToken)).text).toBe('text')
      expect(await send(base, 'GET', { token: guestToken })).toMatchObject({ status: 200 })
      expectRefusal(await write('theirs', 'x', {}, guestToken), 'forbidden')
      expectRefusal(await remove('theirs', {}, guestToken), 'forbidden')
      expectRefusal(await send(base, 'POST', { token: guestToken, body: { path: 'x' } }), 'forbidden')
      await share('driver')
      expect(await write('from-guest', 'x', {}, guestToken)).toMatchObject({ status: 200 })
      // It is the owner's, who made it or not.
      expect(statSync(at('from-guest')).uid).toBe(statSync(workspace.path).uid)
      for (const answer of [
        await read('theirs', {}, strangerToken),
        await write('theirs', 'x', {}, strangerToken),
        await remove('theirs', {}, strangerToken),
        await send(base, 'GET', { token: strangerToken }),
        await send(base, 'POST', { token: strangerToken, body: { path: 'x' } }),
      ])
        expectRefusal(answer, 'workspace_not_found')
      expect((await read('theirs')).text).toBe('text')
    })

    test('a workspace that was made anew under its old name is another', async () => {
      const { id } = await owner.workspaces.create({ name: 'again' })
      await owner.files.write(id, 'old', 'x')
      await owner.workspaces.delete(id)
      const again = await owner.workspaces.create({ name: 'again' })
      expect((await owner.files.list(again.id)).entries).toEqual([])
      await owner.files.write(again.id, 'new', 'x')
      expect(readdirSync(again.path)).toEqual(['new'])
    })

    test('readers that stall hold up only their own user, and nobody once they are gone', async () => {
      const { id, path } = await owner.workspaces.create({ name: 'stalled' })
      await owner.files.list(id)
      writeFileSync(join(path, 'huge'), Buffer.alloc(64 * 2 ** 20))
      const url = `${server.url}/v1/workspaces/${id}/files/content?path=huge`
      const leave = new AbortController()
      const headers = { authorization: `Bearer ${token}` }
      for (let at = 0; at < 4; at++) expect((await fetch(url, { headers, signal: leave.signal })).status).toBe(200)
      let answered = false
      const fifth = owner.files.list(id).then(() => (answered = true))
      // Another user's request comes and goes meanwhile.
      const others = await server.client()
      const other = await others.workspaces.create({ name: `other-${level}` })
      await others.files.list(other.id)
      expect(answered).toBe(false)
      leave.abort()
      await fifth
    })

    test('by the SDK and the command line: streams, parts, and what is not replaced', async () => {
      const { id } = workspace
      const { files } = owner
      const large = new Uint8Array(1_500_000).map((_, at) => at % 251)
      const written = await files.write(id, 'large', new Blob([large]).stream(), { onlyNew: true })
      await expect(files.write(id, 'large', 'x', { onlyNew: true })).rejects.toMatchObject({ status: 412 })
      const readAll = async (options = {}) =>
        new Uint8Array(await new Response((await files.read(id, 'large', options)).body).arrayBuffer())
      expect(Buffer.compare(await readAll(), large)).toBe(0)
      expect(await readAll({ start: 250, end: 252 })).toEqual(new Uint8Array([250, 0, 1]))
      const { etag } = await files.write(id, 'large', 'small', { ifMatch: written.etag ?? '' })
      await expect(files.remove(id, 'large', { ifMatch: written.etag ?? '' })).rejects.toMatchObject({ status: 412 })
      await files.remove(id, 'large', { ifMatch: etag ?? '' })
      await files.makeFolder(id, 'made')

      const home = join(server.dataDir, '..', 'aicm-home')
      mkdirSync(home)
      const aicm = async (args: string[], input = '') => {
        const { code, stdout, stderr } = await startAicm(server, home, ['files', ...args], {
          env: { AICM_TOKEN: token },
          input,
        }).ended
        return { code, stdout, stderr }
      }
      writeFileSync(join(home, 'local.txt'), 'from here')
      expect(await aicm(['put', 'files', join(home, 'local.txt'), 'made/remote.txt'])).toMatchObject({ code: 0 })
      expect((await aicm(['put', 'files', '-', 'made/remote.txt', '--new'], 'x')).stderr).toContain(
        'precondition_failed',
      )
      expect((await aicm(['put', 'files', '-', 'made/\u001b]0;x'], 'y')).code).toBe(0)
      const listed = await aicm(['ls', 'files', 'made'])
      expect(listed.stdout).toMatch(/file {2}9 .* remote\.txt/)
      expect(listed.stdout).not.toContain('\u001b]')
      const target = join(home, 'got.txt')
      expect(await aicm(['get', 'files', 'made/remote.txt', '-o', target])).toMatchObject({ code: 0 })
      expect(readFileSync(target, 'utf8')).toBe('from here')
      expect((await aicm(['get', 'files', 'made/remote.txt', '-o', target])).stderr).toContain('--force')
      expect((await aicm(['get', 'files', 'made/remote.txt', '-o', '-'])).stdout).toBe('from here')
      expect(await aicm(['rm', 'files', 'made/remote.txt', 'made/\u001b]0;x', 'made'])).toMatchObject({ code: 0 })
      expect((await aicm(['get', 'files', 'made'])).stderr).toContain('file_not_found')
    }, 120_000)

    test('the server’s own process opens nothing there, and the helper ends with it', async () => {
      await read('theirs')
      const helpers = server
        .children()
        .filter(({ argv, environment }) => [...argv, ...environment].some((text) => text.includes(workspace.path)))
      expect(helpers.length).toBeGreaterThan(0)
      const uid = statSync(workspace.path).uid
      for (const { pid } of helpers) expect(statSync(`/proc/${pid}`).uid).toBe(uid)
      await server.kill9()
      await until('its helpers are gone', () => server.children().length === 0)
      await server.restart()
      await read('theirs')
      await server.terminate()
      expect(server.children()).toEqual([])
      await server.restart()
    })
  })
