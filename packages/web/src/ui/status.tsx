import type { SessionStatus } from '@aicm/protocol'

export const statuses = [
  'creating',
  'idle',
  'running',
  'error',
  'recovering',
  'closed',
] as const satisfies readonly SessionStatus[]

type Look = { label: string; dot: string; live?: true }

const looks: Record<SessionStatus, Look> = {
  creating: { label: 'Starting', dot: 'bg-accent', live: true },
  idle: { label: 'Idle', dot: 'bg-line-strong' },
  running: { label: 'Running', dot: 'bg-accent', live: true },
  error: { label: 'Error', dot: 'bg-danger' },
  recovering: { label: 'Recovering', dot: 'bg-warn', live: true },
  closed: { label: 'Closed', dot: 'border border-line-strong' },
}

export const statusLabel = (status: SessionStatus): string => looks[status].label

/** A dot and a word: never the colour alone. */
export const Status = ({ status, className = '' }: { status: SessionStatus; className?: string }) => {
  const { label, dot, live } = looks[status]
  return (
    <span className={`inline-flex items-center gap-1.5 whitespace-nowrap ${className}`}>
      <span aria-hidden className={`size-2 shrink-0 rounded-full ${dot} ${live === true ? 'pulse' : ''}`} />
      {label}
    </span>
  )
}
