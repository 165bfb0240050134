import { Link } from '@tanstack/react-router'
import { ShieldCheck } from 'lucide-react'
import { useApprovals } from '../app/use-approvals.ts'
import { useSessionNames } from '../app/use-sessions.ts'
import { ApprovalCard } from '../session/approval-card.tsx'
import { Empty } from '../ui/empty.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { TimeAgo } from '../ui/time-ago.tsx'

/** What waits for an answer, in all sessions. */
export const ApprovalsPage = () => {
  const { data, error, refetch } = useApprovals()
  const names = useSessionNames(data?.map(({ sessionId }) => sessionId) ?? [])
  return (
    <main className="h-full overflow-y-auto">
      <div className="mx-auto grid max-w-3xl grid-cols-1 gap-4 px-4 py-6">
        <h1 className="text-xl font-semibold tracking-tight">Approvals</h1>
        {error !== null && <ErrorNote error={error} onRetry={() => void refetch()} />}
        {data === undefined && error === null && <p className="text-muted">Asking the server…</p>}
        {data?.length === 0 && (
          <Empty icon={ShieldCheck} title="Nothing waits for you">
            <p>When Claude wants to run a command or change a file, it asks here and in the session.</p>
          </Empty>
        )}
        {data?.map((approval) => (
          <ApprovalCard
            key={approval.id}
            approval={approval}
            where={
              <>
                <Link
                  to="/sessions/$id"
                  params={{ id: approval.sessionId }}
                  className="font-medium underline underline-offset-2"
                >
                  {names.get(approval.sessionId) ?? 'Open session'}
                </Link>{' '}
                <TimeAgo time={approval.createdAt} className="text-muted" />
              </>
            }
          />
        ))}
      </div>
    </main>
  )
}
