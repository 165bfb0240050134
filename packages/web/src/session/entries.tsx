import { statusLabel } from '../ui/status.tsx'
import { Brain, Clock, OctagonAlert, RotateCw } from 'lucide-react'
import { useState } from 'react'
import { Markdown } from '../ui/markdown.tsx'
import { ToolCard } from './tool-card.tsx'
import type { Entry } from './turns.ts'

/** What came of a prompt, in order. */
export const Entries = ({ entries }: { entries: Entry[] }) => (
  <div className="grid grid-cols-1 gap-3">
    {entries.map((entry) => (
      <EntryView key={entry.key} entry={entry} />
    ))}
  </div>
)

const EntryView = ({ entry }: { entry: Entry }) => {
  switch (entry.kind) {
    case 'tool':
      return <ToolCard tool={entry}>{entry.inner.length > 0 && <Entries entries={entry.inner} />}</ToolCard>
    case 'text':
      return (
        <div>
          <Markdown text={entry.text} growing={entry.state === 'open'} />
          {entry.state === 'partial' && <CutOff />}
        </div>
      )
    case 'thinking':
      return <Thinking text={entry.text} growing={entry.state === 'open'} />
    default:
      return <Line block={entry.block} />
  }
}

const CutOff = () => <p className="mt-1 text-[0.8125rem] text-muted">… cut off here</p>

const Thinking = ({ text, growing }: { text: string; growing: boolean }) => {
  const [open, setOpen] = useState(false)
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)} className="text-sm text-muted">
      <summary className="inline-flex list-none items-center gap-1.5 rounded-md py-0.5 hover:text-ink [&::-webkit-details-marker]:hidden">
        <Brain aria-hidden className={`size-4 ${growing ? 'pulse' : ''}`} />
        {growing ? 'Thinking…' : 'Thought'}
      </summary>
      {open && <div className="mt-1 border-l-2 border-line pl-3 wrap-anywhere whitespace-pre-wrap">{text}</div>}
    </details>
  )
}

type LineBlock = Extract<Entry, { block: unknown }>['block']

const Line = ({ block }: { block: LineBlock }) => {
  switch (block.kind) {
    case 'progress':
      return (
        <p className="flex items-start gap-1.5 text-sm text-muted">
          <Clock aria-hidden className="mt-0.5 size-4 shrink-0" />
          {block.text}
        </p>
      )
    case 'error': {
      const { message, hint } = block.message
      return (
        <div className="flex gap-2.5 rounded-lg border border-danger/30 bg-danger-tint px-3 py-2.5 text-sm">
          <OctagonAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-danger" />
          <div className="min-w-0">
            <p className="font-medium wrap-anywhere text-danger">{message}</p>
            {hint !== undefined && <p className="mt-0.5">{hint}</p>}
          </div>
        </div>
      )
    }
    case 'metadata':
      return (
        <p className="flex items-center gap-1.5 text-[0.8125rem] text-muted">
          <RotateCw aria-hidden className="size-3.5" /> Claude was started again
        </p>
      )
    case 'status': {
      const { status, reason } = block.message
      return (
        <p className="text-[0.8125rem] text-muted">
          Session: {statusLabel(status).toLowerCase()}
          {reason === undefined ? '' : ` (${reason})`}
        </p>
      )
    }
  }
}
