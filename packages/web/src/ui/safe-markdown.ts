/** The address of a link or an image, or nothing when it must not be followed. */
export const safeUrl = (url: unknown): string | undefined => {
  if (typeof url !== 'string') return undefined
  // Browsers ignore these inside an address, also within "javascript:".
  const plain = url.replace(/[\u0000-\u0020\u007f-\u009f]/g, '')
  return /^(?:https?:\/\/|mailto:)/i.test(plain) ? plain : undefined
}

/** A node of the syntax tree of HTML (hast), as far as it matters here. */
export type HtmlNode = {
  type: string
  tagName?: string
  value?: string
  properties?: Record<string, unknown>
  children?: HtmlNode[]
}

/**
 * Makes a tree inert, in place: links go to other sites only and tell them nothing, images become links, so that nothing
 * is loaded because a text says so, raw HTML becomes text, check boxes signs, wide tables scroll by themselves, and
 * headings rank below the page's own.
 */
export const makeInert = (node: HtmlNode): void => {
  node.children = (node.children ?? []).map((child) => {
    if (child.type === 'raw') return { type: 'text', value: child.value ?? '' }
    makeInert(child)
    return child.type === 'element' ? inertElement(child) : child
  })
}

const inertElement = (node: HtmlNode): HtmlNode => {
  const { tagName, properties = {} } = node
  switch (tagName) {
    case 'a':
      return isWithin(properties.href) ? node : link(properties.href, node.children ?? [])
    case 'img': {
      const alt = typeof properties.alt === 'string' && properties.alt !== '' ? properties.alt : 'no description'
      return link(properties.src, [{ type: 'text', value: `Image: ${alt}` }])
    }
    case 'input': {
      const [sign, ariaLabel] = properties.checked === true ? ['☑', 'Done'] : ['☐', 'To do']
      return element('span', { role: 'img', ariaLabel, className: ['task-box'] }, [{ type: 'text', value: sign }])
    }
    case 'table':
      return element('div', { className: ['table-scroll'], tabIndex: 0, role: 'group', ariaLabel: 'Table' }, [node])
    case 'h1':
    case 'h2':
    case 'h3':
    case 'h4':
      return {
        ...node,
        tagName: `h${Number(tagName[1]) + 2}`,
        properties: { ...properties, className: [`was-${tagName}`] },
      }
    default:
      return node
  }
}

/** The way to a footnote and back. */
const isWithin = (href: unknown): boolean => typeof href === 'string' && /^#[\w-]+$/.test(href)

const link = (url: unknown, children: HtmlNode[]): HtmlNode => {
  const href = safeUrl(url)
  if (href === undefined) return element('span', {}, children)
  return element('a', { href, target: '_blank', rel: ['noopener', 'noreferrer', 'nofollow'] }, children)
}

const element = (tagName: string, properties: Record<string, unknown>, children: HtmlNode[]): HtmlNode => ({
  type: 'element',
  tagName,
  properties,
  children,
})

/** The text and the language of a fenced block. */
export const codeOf = (pre: HtmlNode | undefined): { code: string; label?: string } => {
  const code = pre?.children?.find((child) => child.tagName === 'code')
  const classes = code?.properties?.className
  const names = Array.isArray(classes) ? classes.map(String) : []
  const label = names.find((name) => name.startsWith('language-'))?.slice('language-'.length)
  return { code: textOf(code).replace(/\n$/, ''), ...(label === undefined ? {} : { label }) }
}

const textOf = (node: HtmlNode | undefined): string =>
  node === undefined ? '' : (node.value ?? (node.children ?? []).map(textOf).join(''))
