import { randomUuid } from '@aicm/client'
import type { Session, SessionStatus, Workspace } from '@aicm/protocol'
import { Link, useParams } from '@tanstack/react-router'
import { ArrowLeft, Archive } from 'lucide-react'
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react'
import { useApp } from '../app/app.tsx'
import { useSession, useWorkspaces } from '../app/use-sessions.ts'
import { Composer } from '../session/composer.tsx'
import { Conversation } from '../session/conversation.tsx'
import { FolderContext } from '../session/folder.ts'
import { promptContent } from '../session/images.ts'
import { Reconnecting } from '../session/reconnecting.tsx'
import { SessionMenu } from '../session/session-menu.tsx'
import { turnsOf } from '../session/turns.ts'
import { useComposer } from '../session/use-composer.ts'
import { useFeed } from '../session/use-feed.ts'
import { useInterrupt } from '../session/use-interrupt.ts'
import { buttonClass } from '../ui/button.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { Status, statusLabel } from '../ui/status.tsx'

export const SessionPage = () => {
  const { id } = useParams({ from: '/inside/sessions/$id' })
  return <OpenSession key={id} id={id} />
}

const OpenSession = ({ id }: { id: string }) => {
  const { outbox } = useApp()
  const info = useSession(id)
  const workspace = useWorkspaces().data?.find((known) => known.id === info.data?.workspaceId)
  const { transcript, error, again } = useFeed(id)
  const unsent = useSyncExternalStore(outbox.subscribe, () => outbox.of(id))
  const composer = useComposer(id)
  const turns = useMemo(() => turnsOf(transcript), [transcript])
  const status = transcript.status ?? info.data?.status
  const running = transcript.openTurns.length > 0 && status !== 'closed'
  const { interrupt, interrupting } = useInterrupt(id, running)

  // Known once: afterwards the newest message is always a moment away.
  const [caughtUp, setCaughtUp] = useState(false)
  const lastSeq = info.data?.lastSeq
  const loading = !caughtUp && (lastSeq === undefined || transcript.seq < lastSeq)
  if (!loading && !caughtUp) setCaughtUp(true)

  // In the log is confirmed.
  const pending = unsent.filter(
    (prompt) => !turns.some((turn) => turn.turnId === prompt.id && turn.prompt !== undefined),
  )
  useEffect(() => {
    for (const prompt of unsent) if (!pending.includes(prompt)) outbox.take(prompt.id)
  })

  useTitle(info.data?.name)

  const send = () => {
    const content = promptContent(composer.text, composer.images)
    if (content.length === 0) return
    outbox.send({ id: randomUuid(), sessionId: id, content })
    composer.clear()
  }
  const failure = info.data === undefined ? (info.error ?? error) : error

  return (
    <main className="flex h-full flex-col">
      <Head session={info.data} workspace={workspace} status={status} />
      {failure === undefined || failure === null ? (
        <FolderContext value={workspace?.path}>
          <Conversation
            turns={turns}
            pending={pending}
            loading={loading}
            onRetry={outbox.retry}
            onEdit={(prompt) => composer.restore(outbox.take(prompt)?.content ?? [])}
            onDiscard={outbox.take}
            onSuggest={composer.setText}
          />
        </FolderContext>
      ) : (
        <div className="min-h-0 grow p-4">
          <div className="mx-auto max-w-3xl">
            <ErrorNote
              error={failure}
              onRetry={() => {
                void info.refetch()
                again()
              }}
            />
          </div>
        </div>
      )}
      <Announcements status={status} waiting={info.data?.awaiting ?? 0} />
      <div className="shrink-0 px-3 pb-3 [padding-bottom:max(0.75rem,env(safe-area-inset-bottom))]">
        <div className="mx-auto max-w-3xl">
          {status === 'closed' ? (
            <Closed reason={transcript.statusReason ?? info.data?.reason ?? undefined} />
          ) : (
            <Composer
              composer={composer}
              running={running}
              interrupting={interrupting}
              onSend={send}
              onInterrupt={interrupt}
            />
          )}
        </div>
      </div>
    </main>
  )
}

type HeadProps = { session: Session | undefined; workspace: Workspace | undefined; status: SessionStatus | undefined }

const Head = ({ session, workspace, status }: HeadProps) => {
  return (
    <div className="flex h-14 shrink-0 items-center gap-2 border-b border-line px-3">
      <Link
        to="/sessions"
        search={true}
        aria-label="All sessions"
        className={`${buttonClass({ look: 'quiet', size: 'smallIcon' })} md:hidden`}
      >
        <ArrowLeft aria-hidden className="size-4" />
      </Link>
      <div className="min-w-0 grow">
        <h2 className="truncate leading-5 font-semibold">{session?.name ?? ' '}</h2>
        <p className="flex min-w-0 gap-2 text-[0.8125rem] leading-5 text-muted">
          {status !== undefined && <Status status={status} />}
          <span className="truncate" title={workspace?.path}>
            {[workspace?.name, session?.model].filter(Boolean).join(' · ')}
          </span>
        </p>
      </div>
      <Reconnecting />
      {session !== undefined && <SessionMenu session={session} />}
    </div>
  )
}

/** For screen readers: the steps of a turn, not its words. */
const Announcements = ({ status, waiting }: { status: SessionStatus | undefined; waiting: number }) => (
  <p role="status" className="sr-only">
    {status === undefined ? '' : `Session: ${statusLabel(status)}.`}
    {waiting > 0 ? ` ${waiting} approval${waiting === 1 ? '' : 's'} needed.` : ''}
  </p>
)

const Closed = ({ reason }: { reason: string | undefined }) => (
  <div className="flex items-center gap-3 rounded-xl border border-line bg-panel px-4 py-3 text-sm text-muted">
    <Archive aria-hidden className="size-4 shrink-0" />
    <p>
      This session is closed{reason === undefined ? '' : ` (${reason})`}. It can be read, and a new one can be started
      in the same workspace.
    </p>
  </div>
)

const useTitle = (name: string | undefined) =>
  useEffect(() => {
    if (name === undefined) return
    document.title = `${name} · AICode Manager`
    return () => {
      document.title = 'AICode Manager'
    }
  }, [name])
