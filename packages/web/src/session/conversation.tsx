import { ArrowDown, History, MessageSquareDashed } from 'lucide-react'
import { useRef } from 'react'
import { Button } from '../ui/button.tsx'
import { Empty } from '../ui/empty.tsx'
import type { Pending } from './outbox.ts'
import { PendingPrompt } from './pending-prompt.tsx'
import { useStickToBottom } from './stick-to-bottom.ts'
import { TurnView } from './turn-view.tsx'
import type { Turn } from './turns.ts'
import { useLatest } from './use-latest.ts'

type Props = {
  turns: readonly Turn[]
  pending: readonly Pending[]
  /** The log so far has not all arrived. */
  loading: boolean
  onRetry: (id: string) => void
  onEdit: (id: string) => void
  onDiscard: (id: string) => void
  onSuggest: (text: string) => void
}

export const Conversation = ({ turns, pending, loading, onRetry, onEdit, onDiscard, onSuggest }: Props) => {
  const area = useRef<HTMLDivElement>(null)
  const content = useRef<HTMLDivElement>(null)
  const { stuck, jump } = useStickToBottom(area, content)
  const { latest, hidden, showEarlier } = useLatest({ items: turns, ready: !loading, area, content })
  const empty = turns.length === 0 && pending.length === 0

  return (
    <div className="relative min-h-0 grow">
      <div
        ref={area}
        role="log"
        aria-label="Conversation"
        // Each word would be read aloud; what matters is announced by the page.
        aria-live="off"
        aria-busy={loading}
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) =>
          hidden > 0 && scrollTop < 200 && scrollHeight - scrollTop - clientHeight > 200 && showEarlier()
        }
        className="h-full overflow-y-auto overscroll-contain -outline-offset-2"
      >
        <div ref={content} className="mx-auto grid max-w-3xl grid-cols-1 gap-7 px-4 py-6">
          {loading && <Skeleton />}
          {!loading && empty && <Suggestions onSuggest={onSuggest} />}
          {!loading && hidden > 0 && (
            <Button look="quiet" size="small" className="justify-self-center" onClick={showEarlier}>
              <History aria-hidden className="size-4" /> Show earlier ({hidden})
            </Button>
          )}
          {!loading && latest.map((turn) => <TurnView key={turn.key} turn={turn} />)}
          {pending.map((prompt) => (
            <PendingPrompt
              key={prompt.id}
              pending={prompt}
              onRetry={() => onRetry(prompt.id)}
              onEdit={() => onEdit(prompt.id)}
              onDiscard={() => onDiscard(prompt.id)}
            />
          ))}
        </div>
      </div>
      {!stuck && (
        <div className="pointer-events-none absolute inset-x-0 bottom-3 grid justify-center">
          <Button size="small" className="pointer-events-auto shadow-float" onClick={jump}>
            <ArrowDown aria-hidden className="size-4" /> Jump to latest
          </Button>
        </div>
      )}
    </div>
  )
}

const examples = [
  'What is in this folder?',
  'Write a small program that prints the first 20 prime numbers, and run it.',
  'Explain in a table how HTTP/1.1, HTTP/2 and HTTP/3 differ.',
]

const Suggestions = ({ onSuggest }: { onSuggest: (text: string) => void }) => (
  <Empty icon={MessageSquareDashed} title="Nothing said yet">
    <p>Write a prompt below, or begin with one of these:</p>
    <ul className="grid grid-cols-1 gap-2">
      {examples.map((example) => (
        <li key={example}>
          <button
            type="button"
            onClick={() => onSuggest(example)}
            className="w-full rounded-lg border border-line bg-surface px-3 py-2 text-left text-ink hover:bg-sunken"
          >
            {example}
          </button>
        </li>
      ))}
    </ul>
  </Empty>
)

const Skeleton = () => (
  <div role="status" className="grid grid-cols-1 gap-4">
    <span className="sr-only">Loading the conversation…</span>
    <div aria-hidden className="pulse ml-auto h-11 w-2/5 rounded-2xl bg-line" />
    <div aria-hidden className="grid grid-cols-1 gap-2.5">
      {[92, 80, 86, 40].map((width) => (
        <div key={width} className="pulse h-3.5 rounded bg-line" style={{ width: `${width}%` }} />
      ))}
    </div>
  </div>
)
