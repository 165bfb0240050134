import { chromiumPath } from '@aicm/testing/requires'
import { chromium, type Browser } from 'playwright-core'

/** A browser that asks nobody on the internet for anything. */
const quiet = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export const openBrowser = async (): Promise<Browser & AsyncDisposable> => {
  const executablePath = chromiumPath()
  if (executablePath === undefined) throw new Error('There is no chromium: see scripts/lib/system.js.')
  return chromium.launch({ executablePath, args: quiet })
}
