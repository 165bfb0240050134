import type { Session, SessionStatus } from '@aicm/protocol'
import { Link, Outlet, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { MessageSquarePlus, MessagesSquare, Plus, Search, SearchX } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { useSessionList, useWorkspaces } from '../app/use-sessions.ts'
import { NewSessionDialog } from '../session/new-session-dialog.tsx'
import { SessionMenu } from '../session/session-menu.tsx'
import { Button } from '../ui/button.tsx'
import { Empty } from '../ui/empty.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { inputClass } from '../ui/field.tsx'
import { Status, statuses, statusLabel } from '../ui/status.tsx'
import { TimeAgo } from '../ui/time-ago.tsx'

/** The list, and beside it (on a narrow screen: instead of it) the open session. */
export const SessionsPage = () => {
  const open = useParams({ strict: false }).id !== undefined
  return (
    <div className="flex h-full">
      <aside
        aria-label="Sessions"
        className={`h-full w-full shrink-0 border-line bg-panel md:w-80 md:border-r ${open ? 'max-md:hidden' : ''}`}
      >
        <SessionList />
      </aside>
      <div className={`h-full min-w-0 grow ${open ? '' : 'max-md:hidden'}`}>
        <Outlet />
      </div>
    </div>
  )
}

export const SessionsIndex = () => (
  <main className="grid h-full place-items-center">
    <Empty icon={MessageSquarePlus} title="No session is open">
      <p>Choose one from the list, or start a new one. A session goes on when you close this page.</p>
    </Empty>
  </main>
)

const SessionList = () => {
  const { status, q } = useSearch({ from: '/inside/sessions' })
  const navigate = useNavigate()
  const [creating, setCreating] = useState(false)
  const [text, setText] = useState(q ?? '')
  const list = useSessionList({ status, text: q })
  const workspaces = useWorkspaces()
  const nameOf = (id: string) => workspaces.data?.find((workspace) => workspace.id === id)?.name

  const filter = (next: { status?: SessionStatus | undefined; q?: string | undefined }) =>
    navigate({ to: '.', search: (now) => ({ ...now, ...next }), replace: true })

  useEffect(() => {
    if ((q ?? '') === text.trim()) return
    const timer = setTimeout(() => void filter({ q: text.trim() || undefined }), 250)
    return () => clearTimeout(timer)
  })

  const sessions = list.data?.pages.flatMap((page) => page.sessions)
  const filtered = status !== undefined || q !== undefined

  return (
    <div className="flex h-full flex-col">
      <div className="grid gap-2 border-b border-line p-3">
        <div className="flex items-center justify-between gap-2">
          <h1 className="text-base font-semibold">Sessions</h1>
          <Button look="primary" size="small" onClick={() => setCreating(true)}>
            <Plus aria-hidden className="size-4" /> New session
          </Button>
        </div>
        <div className="flex gap-2">
          <div className="relative min-w-0 grow">
            <Search aria-hidden className="pointer-events-none absolute top-2 left-2.5 size-4 text-muted" />
            <input
              type="search"
              aria-label="Filter by name"
              placeholder="Filter by name"
              value={text}
              maxLength={200}
              onChange={(event) => setText(event.target.value)}
              className={`${inputClass} h-8! pl-8! text-sm!`}
            />
          </div>
          <select
            aria-label="Filter by status"
            value={status ?? ''}
            onChange={(event) => void filter({ status: statuses.find((known) => known === event.target.value) })}
            className={`${inputClass} h-8! w-auto! shrink-0 pr-1! pl-2! text-sm!`}
          >
            <option value="">All</option>
            {statuses.map((known) => (
              <option key={known} value={known}>
                {statusLabel(known)}
              </option>
            ))}
          </select>
        </div>
      </div>
      <div className="min-h-0 grow overflow-y-auto">
        {list.error !== null && (
          <div className="p-3">
            <ErrorNote error={list.error} onRetry={() => void list.refetch()} />
          </div>
        )}
        {sessions === undefined && list.error === null && <Skeleton />}
        {sessions?.length === 0 &&
          (filtered ? (
            <Empty icon={SearchX} title="No session matches">
              <Button
                size="small"
                onClick={() => {
                  setText('')
                  void filter({ status: undefined, q: undefined })
                }}
              >
                Show all
              </Button>
            </Empty>
          ) : (
            <Empty icon={MessagesSquare} title="No sessions yet">
              <p>A session is a conversation with Claude in a folder of its own on the server.</p>
              <Button look="primary" onClick={() => setCreating(true)}>
                Start the first one
              </Button>
            </Empty>
          ))}
        {sessions !== undefined && sessions.length > 0 && (
          <ul aria-label="Sessions" className="py-1">
            {sessions.map((session) => (
              <Row key={session.id} session={session} workspace={nameOf(session.workspaceId)} />
            ))}
          </ul>
        )}
        {list.hasNextPage && (
          <div className="grid justify-center p-3">
            <Button size="small" busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
              Load more
            </Button>
          </div>
        )}
      </div>
      <NewSessionDialog
        open={creating}
        onClose={() => setCreating(false)}
        onCreated={(session) => void navigate({ to: '/sessions/$id', params: { id: session.id }, search: true })}
      />
    </div>
  )
}

const Row = ({ session, workspace }: { session: Session; workspace: string | undefined }) => (
  <li className="group relative px-1.5">
    <Link
      to="/sessions/$id"
      params={{ id: session.id }}
      search={true}
      className="block rounded-lg py-2 pr-10 pl-2.5 hover:bg-sunken aria-[current=page]:bg-tint"
    >
      <span className="flex items-baseline justify-between gap-3">
        <span className="truncate font-medium">{session.name}</span>
        <TimeAgo short time={session.updatedAt} className="shrink-0 text-[0.8125rem] text-muted" />
      </span>
      <span className="mt-0.5 flex items-center gap-x-2 text-[0.8125rem] leading-5 text-muted">
        <Status status={session.status} />
        {session.awaiting > 0 && (
          <Badge tone="warn">{session.awaiting === 1 ? 'approval' : `${session.awaiting} approvals`}</Badge>
        )}
        {session.queued > 0 && <Badge>{session.queued} queued</Badge>}
        <span className="min-w-0 truncate">{workspace}</span>
      </span>
    </Link>
    <div className="absolute top-1.5 right-2.5">
      <SessionMenu session={session} label={`Actions for ${session.name}`} />
    </div>
  </li>
)

const Badge = ({ tone = 'plain', children }: { tone?: 'plain' | 'warn'; children: ReactNode }) => (
  <span
    className={`shrink-0 rounded-full px-1.5 text-xs leading-5 font-medium tabular-nums ${
      tone === 'warn' ? 'bg-warn-tint text-warn' : 'bg-sunken text-muted'
    }`}
  >
    {children}
  </span>
)

/** As high as the rows that will come, so that nothing jumps. */
const Skeleton = () => (
  <div role="status" className="py-1">
    <span className="sr-only">Loading the sessions…</span>
    {[60, 45, 70, 55].map((width) => (
      <div key={width} aria-hidden className="px-4 py-2">
        <div className="flex h-6 items-center">
          <div className="pulse h-3.5 rounded bg-line" style={{ width: `${width}%` }} />
        </div>
        <div className="mt-0.5 flex h-5 items-center">
          <div className="pulse h-3 w-4/5 rounded bg-line" />
        </div>
      </div>
    ))}
  </div>
)
