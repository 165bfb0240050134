import { LoaderCircle, TriangleAlert } from 'lucide-react'
import { Button } from '../ui/button.tsx'
import type { Pending } from './outbox.ts'
import { PromptBubble } from './prompt-bubble.tsx'

type Props = { pending: Pending; onRetry: () => void; onEdit: () => void; onDiscard: () => void }

/** A prompt that the server has not confirmed: on its way, or kept with what went wrong. */
export const PendingPrompt = ({ pending, onRetry, onEdit, onDiscard }: Props) => (
  <article aria-label="Unsent prompt">
    <PromptBubble
      content={pending.content}
      note={
        pending.failure === undefined ? (
          <p role="status" className="flex items-center gap-1.5 text-[0.8125rem] text-muted">
            <LoaderCircle aria-hidden className="spin size-3.5" /> Sending
          </p>
        ) : (
          <div role="alert" className="grid max-w-[min(92%,40rem)] justify-items-end gap-1.5 text-sm">
            <p className="flex items-start gap-1.5 text-danger">
              <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0" />
              <span>
                Not sent. {pending.failure.message} {pending.failure.hint}
              </span>
            </p>
            <div className="flex gap-2">
              <Button size="small" look="primary" onClick={onRetry}>
                Send again
              </Button>
              <Button size="small" onClick={onEdit}>
                Edit
              </Button>
              <Button size="small" look="quiet" onClick={onDiscard}>
                Discard
              </Button>
            </div>
          </div>
        )
      }
    />
  </article>
)
