import { memo, useState } from 'react'
import { Streamdown, type Components, type ExtraProps } from 'streamdown'
import { CodeBlock } from './code-block.tsx'
import { codeOf, makeInert, safeUrl } from './safe-markdown.ts'

type Props = { text: string; growing?: boolean }

/**
 * What the model writes. Raw HTML shows as text, links other than http, https and mailto lead nowhere, and images are
 * links: see `makeInert`.
 */
export const Markdown = memo(({ text, growing = false }: Props) => {
  // Parsing block by block pays while text grows; whole texts are cheaper in one piece. Kept, so that nothing is drawn anew
  // at the end.
  const [streamed] = useState(growing)
  return (
    <Streamdown
      className="markdown"
      mode={streamed ? 'streaming' : 'static'}
      components={components}
      rehypePlugins={rehypePlugins}
      urlTransform={keepUrl}
      parseIncompleteMarkdown={growing}
      controls={false}
      dir="auto"
    >
      {text}
    </Streamdown>
  )
})

const rehypePlugins = [() => makeInert]
const keepUrl = (url: string) => (url.startsWith('#') ? url : safeUrl(url))

/** Plain elements in place of the library's own, which bring styles, controls and loaders that this page has no use for. */
const components: Components = {
  pre: ({ node }: ExtraProps) => <CodeBlock {...codeOf(node)} />,
  code: 'code',
  a: 'a',
  img: 'span',
  h1: 'h1',
  h2: 'h2',
  h3: 'h3',
  h4: 'h4',
  h5: 'h5',
  h6: 'h6',
  p: 'p',
  ul: 'ul',
  ol: 'ol',
  li: 'li',
  blockquote: 'blockquote',
  hr: 'hr',
  strong: 'strong',
  table: 'table',
  thead: 'thead',
  tbody: 'tbody',
  tr: 'tr',
  th: 'th',
  td: 'td',
  sup: 'sup',
  sub: 'sub',
  section: 'section',
}
