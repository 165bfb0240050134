import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startAicm } from '../../e2e/lib/aicm.ts'
import { temporaryFolder } from '../../bench/lib/folder.ts'
import { openBrowser } from '../../e2e/lib/browser.ts'
import { openPage } from '../lib/browser.ts'
import { openCanary } from '../lib/canary.ts'
import { openInside } from '../lib/inside.ts'
import { aicmOnTerminal } from '../lib/on-terminal.ts'
import type { Row } from '../lib/row.ts'

/** Every script that runs says so here. */
const pwn = 'window.pwned=1'

const hostileText = (canary: string): string[] => [
  `<script>${pwn}</script>`,
  `<img src=x onerror="${pwn}">`,
  `<svg onload="${pwn}"><a xlink:href="javascript:${pwn}"><text>x</text></a></svg>`,
  `<iframe srcdoc="<script>parent.${pwn}</script>"></iframe>`,
  `<a href="javascript:${pwn}">click</a>`,
  `<form action="${canary}/form"><input name=q><button>Log in</button></form>`,
  `<style>* { background: url(${canary}/style) }</style>`,
  `<link rel=stylesheet href="${canary}/link">`,
  `<meta http-equiv=refresh content="0;url=${canary}/meta">`,
  `<object data="${canary}/object"></object><embed src="${canary}/embed">`,
  `[click](javascript:${pwn})`,
  `[click](JaVaScRiPt:${pwn})`,
  `[click](java\tscript:${pwn})`,
  `[click](data:text/html,<script>${pwn}</script>)`,
  `[click](vbscript:x)`,
  `![image](${canary}/image)`,
  `![image](javascript:${pwn})`,
  `[ref]: javascript:${pwn}\n[click][ref]`,
  `<javascript:${pwn}>`,
  '```html\n<script>window.pwned=1</script>\n```',
  '```mermaid\ngraph TD; A-->B; click A "javascript:window.pwned=1"\n```',
  `$$\\href{javascript:${pwn}}{x}$$`,
  `<details open ontoggle="${pwn}"><summary>x</summary></details>`,
  `<math><mtext><style><img src=x onerror=${pwn}></style></mtext></math>`,
]

const escapes = [
  '\u001b[2J\u001b[H',
  '\u001b]0;title\u0007',
  '\u001b]52;c;cHduZWQ=\u0007',
  '\u001b]8;;http://evil.example\u001b\\link\u001b]8;;\u001b\\',
  '\u001bP+q544e\u001b\\',
  '\u001b[6n',
  '\u009b31mred\u009b0m',
  '\u009d0;title\u009c',
  '\u001b[?1049h',
  '\u001b_Gf=100;AAAA\u001b\\',
  '\u0007\u0008\u000c\u007f\r overwritten',
]

/** Control characters that a terminal obeys, in what it is given. */
const controls = (text: string): string => {
  const found = new Set(text.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g) ?? [])
  return found.size === 0 ? 'none' : [...found].map((char) => `U+${char.charCodeAt(0).toString(16)}`).join(' ')
}

const escaped = (text: string): string => text.replaceAll(/[()]/g, '\\$&')

export const inert: Row = {
  name: 'inert',
  title: 'model output and workspace files with scripts, javascript: links, terminal escapes',
  expected: 'inert in the page, the terminal and the log',
  run: async (attack, attempt) => {
    await using canary = await openCanary()
    const target = await attack.shared()
    const { alice, dataDir } = target
    const { client } = alice
    const session = await client.sessions.create({ name: 'Hostile <img src=x onerror=window.pwned=1>' })
    const handle = client.session(session.id)
    const texts = hostileText(canary.url)
    if (attack.size !== 'test') for (const text of texts) await handle.execute(`@text(${escaped(text)})`).complete()
    // As a whole, where one opens what another closes; and typed by a user.
    await handle.execute(`@text(${escaped(texts.join('\n\n'))})`).complete()
    await handle.execute(`${texts.join('\n\n')} @text(end-of-all)`).complete()

    await using browser = await openBrowser()
    const page = await openPage(browser, target, alice)
    const foreign: string[] = []
    const dialogs: string[] = []
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url())
      if (origin !== target.url && protocol !== 'data:' && protocol !== 'blob:') foreign.push(request.url())
    })
    page.on('dialog', (dialog) => void dialog.dismiss().then(() => dialogs.push(dialog.message())))
    await page.goto(`${target.url}/sessions/${session.id}`)
    await page.getByText('end-of-all').last().waitFor()
    const log = page.getByRole('log', { name: 'Conversation' })
    for (const link of await log.getByText('click', { exact: true }).all())
      await link.click({ timeout: 2000, noWaitAfter: true }).catch(() => undefined)
    const found = await page.evaluate(() => {
      const all = [...document.querySelectorAll('[role=log] *')]
      const links = all.flatMap((element) =>
        ['href', 'src', 'xlink:href', 'action'].flatMap((name) => element.getAttribute(name) ?? []),
      )
      return {
        pwned: 'pwned' in window ? 'ran' : 'did not run',
        handlers: all.filter((element) => element.getAttributeNames().some((name) => name.startsWith('on'))).length,
        elements: document.querySelectorAll(
          '[role=log] :is(script, iframe, object, embed, form, style, link, meta, img[src^=http])',
        ).length,
        links: links.filter((link) => /^\s*(javascript|vbscript|data:text)/i.test(link)).length,
        where: location.pathname,
      }
    })
    attempt('the page: scripts', 'did not run', found.pwned)
    attempt('the page: event handlers', '0', `${found.handlers}`)
    attempt('the page: elements that act', '0', `${found.elements}`)
    attempt('the page: links that run something', '0', `${found.links}`)
    attempt('the page: where it is', `/sessions/${session.id}`, found.where)
    attempt('the page: requests to others', '0', `${foreign.length}`)
    attempt('the page: dialogs', '0', `${dialogs.length}`)
    attempt('what the other server heard', '0', `${canary.heard.length}`)

    await using home = await temporaryFolder(attack.scope)
    await startAicm(target, home.path, ['login', '--password-stdin'], { input: `${alice.password}\n` }).ended
    const shown = (...args: string[]) => aicmOnTerminal(target.url, home.path, args)
    for (const escape of attack.size === 'test' ? [escapes.join(' ')] : escapes) {
      const text = await shown('run', `@text(before ${escaped(escape)} after)`)
      const name = attack.size === 'test' ? 'all escapes' : JSON.stringify(escape)
      attempt(`the terminal: ${name}`, 'none', controls(text))
      attempt(`the terminal: the text around ${name}`, 'shown', /before[\s\S]*after/.test(text) ? 'shown' : 'lost')
    }
    await using inside = await openInside(client)
    await inside.run(`printf '\\033[2J\\033]0;x\\007\\302\\233m\\302\\235x\\302\\234' > evil.txt; cat evil.txt`)
    for (const args of [
      ['sessions', 'ls'],
      ['sessions', 'show', session.id],
      ['--json', 'sessions', 'show', session.id],
      ['run', '--session', inside.sessionId, '@bash(cat evil.txt) @text(end)'],
      ['--json', 'run', '--session', inside.sessionId, '@bash(cat evil.txt) @text(end)'],
    ])
      attempt(
        `the terminal: aicm ${args
          .slice(0, 3)
          .join(' ')
          .replace(/ses_\w+/, 'ID')}`,
        'none',
        controls(await shown(...args)),
      )
    attempt('the log', 'none', controls(readFileSync(join(dataDir, 'server.log'), 'utf8')))
    await client.sessions.delete(session.id)
  },
}
