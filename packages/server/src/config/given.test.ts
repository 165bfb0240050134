import { expect, test } from 'vitest'
import { readConfig } from './config.ts'

test('what was set is known by its name; secrets, and passwords in addresses, are not among it', () => {
  const { given } = readConfig(['--port', '1', '--workspace-root', '/a', '--workspace-root', '/b'], {
    HOME: '/home/x',
    AICM_PORT: '2',
    AICM_ADMIN_PASSWORD: 'secret-1',
    ANTHROPIC_API_KEY: 'secret-2',
    ANTHROPIC_BASE_URL: 'https://user:secret-3@api.example',
  })
  expect(given).toEqual({ port: '1', workspaceRoots: '/a, /b', upstream: 'https://api.example' })
})
