import { CopyButton } from './copy-button.tsx'

/** Code or output as it is: one scroll area of its own, with a way to copy it. With `wrap` nothing is out of sight at the side. */
export const CodeBlock = ({ code, label, wrap = false }: { code: string; label?: string; wrap?: boolean }) => (
  <div className="overflow-hidden rounded-lg border border-line bg-sunken">
    <div className="flex h-8 items-center justify-between border-b border-line pr-0.5 pl-3 font-mono text-xs text-muted">
      {label === undefined || label === '' ? 'text' : label}
      <CopyButton text={() => code} label="Copy code" />
    </div>
    {/* Focusable, so that it can be scrolled with the keys. */}
    <pre
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      className={`max-h-96 overflow-auto px-3 py-2.5 font-mono text-[0.8125rem] leading-[1.55] [tab-size:4] -outline-offset-2 ${wrap ? 'wrap-anywhere whitespace-pre-wrap' : ''}`}
    >
      <code>{code}</code>
    </pre>
  </div>
)
