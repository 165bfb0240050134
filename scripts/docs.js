// `npm run docs`: writes the parts of the documentation that are made from code. Needs Node 24: it imports the sources.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { optionsMarkdown } from '../packages/server/src/config/help.ts'
import { root } from './lib/root.js'

const readme = join(root, 'README.md')
const section = /(<!-- options -->\n)[^]*?(\n<!-- \/options -->)/

/**
 * A text with the table of the server's options in its marked place.
 * @param {string} text
 */
export const withOptions = (text) => {
  if (!section.test(text)) throw new Error('The place for the options is gone: <!-- options --> … <!-- /options -->')
  // A bare <name> would be taken for HTML, and not be seen.
  const table = optionsMarkdown().replaceAll('<', '&lt;')
  return text.replace(section, (_, before, after) => `${before}\n${table}\n${after}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(readme, withOptions(readFileSync(readme, 'utf8')))
}
