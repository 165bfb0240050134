import { spawn } from 'node:child_process'
import type { Io } from '../../io.ts'

const openers: Readonly<Partial<Record<NodeJS.Platform, [string, ...string[]]>>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
}

/** Never fails: whoever has no browser has the address on the screen. */
export const openBrowser = (url: string, env: Io['env']): void => {
  const [program, ...args] = openers[process.platform] ?? ['xdg-open']
  const child = spawn(program, [...args, url], { env, stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}
