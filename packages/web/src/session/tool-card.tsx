import { continueTool } from '@aicm/protocol'
import { Ban, Check, CircleDashed, CircleSlash, LoaderCircle, ShieldQuestion, X, type LucideIcon } from 'lucide-react'
import { use, useState, type ReactNode } from 'react'
import { CodeBlock } from '../ui/code-block.tsx'
import { ApprovalCard } from './approval-card.tsx'
import { FolderContext, fromFolder } from './folder.ts'
import { ToolInput } from './tool-input.tsx'
import { resultParts, summariseInput } from './tool-text.ts'
import type { ToolEntry } from './turns.ts'
import { visible, withoutAnsi } from './visible.ts'

type Look = { icon: LucideIcon; label: string; className: string }

const looks: Record<ToolEntry['state'], Look> = {
  writing: { icon: CircleDashed, label: 'being written', className: 'spin text-muted' },
  waiting: { icon: ShieldQuestion, label: 'waits for your approval', className: 'text-warn' },
  running: { icon: LoaderCircle, label: 'running', className: 'spin text-accent' },
  ok: { icon: Check, label: 'done', className: 'text-ok' },
  failed: { icon: X, label: 'failed', className: 'text-danger' },
  denied: { icon: Ban, label: 'denied', className: 'text-danger' },
  cut: { icon: CircleSlash, label: 'cut off', className: 'text-muted' },
}

/** A tool call: one line, and all of it when opened. `children` is what a sub-agent did that it started. */
export const ToolCard = ({ tool, children }: { tool: ToolEntry; children: ReactNode }) => {
  const [open, setOpen] = useState(false)
  const folder = use(FolderContext)
  const { icon: Icon, label, className } = looks[tool.state]
  const approval = tool.approval?.message
  return (
    <div className="grid grid-cols-1 gap-2">
      <details
        open={open}
        onToggle={(event) => setOpen(event.currentTarget.open)}
        className="rounded-lg border border-line bg-surface"
      >
        <summary className="flex min-h-9 list-none items-center gap-2 rounded-lg px-3 text-sm hover:bg-sunken [&::-webkit-details-marker]:hidden">
          <Icon aria-hidden className={`size-4 shrink-0 ${className}`} />
          <b className="shrink-0 font-semibold">{tool.name === continueTool ? 'Go on?' : tool.name}</b>
          <span className="min-w-0 truncate font-mono text-[0.8125rem] text-muted">
            {visible(fromFolder(summariseInput(tool.input), folder))}
          </span>
          <span
            className={
              tool.state === 'ok' || tool.state === 'running' || tool.state === 'writing'
                ? 'sr-only'
                : 'ml-auto shrink-0 text-[0.8125rem] text-muted'
            }
          >
            {label}
          </span>
        </summary>
        {open && (
          <div className="grid grid-cols-1 gap-2 border-t border-line p-3">
            <ToolInput input={tool.input} />
            {approval?.state === 'denied' && approval.message !== undefined && (
              <p className="text-sm text-muted">Denied: {approval.message}</p>
            )}
            {tool.result !== undefined && (
              <Result content={tool.result.message.content} failed={tool.state === 'failed'} />
            )}
          </div>
        )}
      </details>
      {approval?.state === 'pending' && tool.state === 'waiting' && (
        <ApprovalCard
          key={approval.approvalId}
          approval={{
            id: approval.approvalId,
            tool: approval.tool,
            input: approval.input,
            canRemember: approval.canRemember,
          }}
        />
      )}
      {children !== false && <div className="ml-2 border-l-2 border-line pl-3">{children}</div>}
    </div>
  )
}

const Result = ({ content, failed }: { content: unknown; failed: boolean }) => {
  const parts = resultParts(content)
  if (parts.length === 0) return <p className="text-sm text-muted">It answered nothing.</p>
  return parts.map((part, index) =>
    part.kind === 'image' ? (
      <img
        key={index}
        src={part.src}
        alt="What the tool showed"
        className="max-h-96 max-w-full rounded-lg border border-line"
      />
    ) : (
      <CodeBlock key={index} label={failed ? 'error' : 'result'} code={visible(withoutAnsi(part.text))} />
    ),
  )
}
