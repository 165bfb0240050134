import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { brokerControl } from '@aicm/broker'
import { createClient, login } from '@aicm/client'
import { removeGroups } from '@aicm/testing/groups'
import { requires } from '@aicm/testing/requires'
import { until } from '@aicm/testing/until'

const root = fileURLToPath(new URL('..', import.meta.url))
const password = 'for the packed server only'

/**
 * Starts `aicm up` of an installed package, and resolves once it says where it listens. The command that npx would run, and
 * not npx, which passes no signal on.
 */
const startInstalled = async (folder: string, dataDir: string) => {
  const child = spawn(join(folder, 'node_modules/.bin/aicm'), ['up', '--port', '0', '--data-dir', dataDir], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, AICM_ADMIN_PASSWORD: password },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`aicm up ended with ${code}: ${output}`)))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      const found = /listens on (http:\S+)/.exec(output)?.[1]
      if (found !== undefined) resolve(found)
    })
  })
  return { child, url }
}

requires('claude')(
  'the package installs into an empty folder within its budget, and its server answers a prompt',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'aicm-installed-'))
    const dataDir = join(folder, 'data')
    try {
      const check = spawn(process.execPath, [join(root, 'scripts/check-package.js'), '--keep', folder], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let report = ''
      check.stdout.setEncoding('utf8').on('data', (text: string) => (report += text))
      const [code] = await once(check, 'close')
      expect(report).toMatch(/production install: [\d.]+ MB of 120, \d+ packages of 200/)
      expect(code).toBe(0)

      const { child, url } = await startInstalled(join(folder, 'empty'), dataDir)
      try {
        const { accessToken } = await login({ url, username: 'admin', password })
        await using client = createClient({ url, token: accessToken })
        const { complete } = await client.run('@text(packed and unpacked)')
        expect(complete).toMatchObject({ result: 'success', text: 'packed and unpacked' })
        const page = await fetch(url, { headers: { accept: 'text/html' } })
        expect(await page.text()).toContain('<title>')
      } finally {
        child.kill('SIGTERM')
        await once(child, 'exit')
        await brokerControl(join(dataDir, 'broker')).stop()
        await until('its groups are gone', () => removeGroups(dataDir))
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  },
  400_000,
)
