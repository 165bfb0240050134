import { TriangleAlert } from 'lucide-react'
import { Button } from './button.tsx'
import { describeError } from './describe-error.ts'

/** What went wrong and what to do about it, in the server's own words. */
export const ErrorNote = ({ error, onRetry }: { error: unknown; onRetry?: () => void }) => {
  const { message, hint, requestId } = describeError(error)
  return (
    <div role="alert" className="flex gap-2.5 rounded-md border border-danger/30 bg-danger-tint px-3 py-2.5 text-sm">
      <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-danger" />
      <div className="grid min-w-0 grow gap-0.5">
        <p className="font-medium text-danger">{message}</p>
        {hint !== undefined && <p>{hint}</p>}
        {requestId !== undefined && <p className="font-mono text-xs text-muted">Request {requestId}</p>}
      </div>
      {onRetry !== undefined && (
        <Button size="small" onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  )
}
