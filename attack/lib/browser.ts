import type { Browser, Page } from 'playwright-core'
import type { Person, Target } from './target.ts'

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
