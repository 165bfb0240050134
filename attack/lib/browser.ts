import { chromiumPath } from '@aicm/testing/requires'
import { chromium, type Browser, type Page } from 'playwright-core'
import type { Person, Target } from './target.ts'

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

/** A page that is logged in. */
export const openPage = async (browser: Browser, { url }: Target, person: Person): Promise<Page> => {
  const page = await browser.newPage()
  await page.goto(url)
  await page.getByLabel('User name').fill(person.username)
  await page.getByLabel('Password').fill(person.password)
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('heading', { name: 'Sessions', exact: true }).waitFor()
  return page
}
