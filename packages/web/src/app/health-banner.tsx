import { Link } from '@tanstack/react-router'
import { TriangleAlert, X } from 'lucide-react'
import { useState } from 'react'
import { useHealth } from './use-health.ts'

/** Says that the server works with limits, until somebody has taken note of just these. */
export const HealthBanner = () => {
  const [noted, setNoted] = useState('')
  const reasons = useHealth().data?.reasons ?? []
  const [first, ...others] = reasons
  const shown = first !== undefined && reasons.join('\n') !== noted
  return (
    <div role="status" className="contents">
      {shown && (
        <aside
          aria-label="Server health"
          className="flex shrink-0 items-center gap-2 border-b border-warn/25 bg-warn-tint px-3 py-1 text-[0.8125rem] leading-5 text-warn"
        >
          <TriangleAlert aria-hidden className="size-4 shrink-0" />
          <p className="min-w-0 truncate">{first}</p>
          <Link to="/health" className="mr-auto shrink-0 font-medium underline">
            {others.length === 0 ? 'More' : `${others.length} more`}
          </Link>
          <button
            type="button"
            aria-label="Hide"
            onClick={() => setNoted(reasons.join('\n'))}
            className="rounded-md p-1 hover:bg-warn/10"
          >
            <X aria-hidden className="size-4" />
          </button>
        </aside>
      )}
    </div>
  )
}
