import type { Health } from '@aicm/protocol'
import { CircleCheck, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { useHealth } from '../app/use-health.ts'
import { ErrorNote } from '../ui/error-note.tsx'
import { formatBytes, formatDuration } from '../ui/format.ts'

export const HealthPage = () => {
  const { data, error, refetch } = useHealth()
  return (
    <main className="h-full overflow-y-auto">
      <div className="mx-auto grid max-w-3xl grid-cols-1 gap-4 px-4 py-6">
        <h1 className="text-xl font-semibold tracking-tight">Health</h1>
        {error !== null && <ErrorNote error={error} onRetry={() => void refetch()} />}
        {data === undefined ? (
          error === null && <p className="text-muted">Asking the server…</p>
        ) : (
          <Report health={data} />
        )}
      </div>
    </main>
  )
}

const credentials = {
  none: 'none',
  'api-key': 'API key',
  'auth-token': 'auth token',
  'oauth-token': 'OAuth token',
} as const satisfies Record<Health['modelApi']['credential'], string>

const Report = ({ health }: { health: Health }) => {
  const { claude, modelApi, isolation, storage, system, sessions } = health
  return (
    <>
      <section aria-label="Summary" className="flex items-start gap-3 rounded-xl border border-line bg-surface p-4">
        {health.status === 'ok' ? (
          <CircleCheck aria-hidden className="mt-0.5 size-5 shrink-0 text-ok" />
        ) : (
          <TriangleAlert aria-hidden className="mt-0.5 size-5 shrink-0 text-warn" />
        )}
        <div>
          <p className="font-semibold">{health.status === 'ok' ? 'Everything works' : 'Works with limits'}</p>
          {health.reasons.length > 0 && (
            <ul className="mt-1 list-disc pl-4 text-sm">
              {health.reasons.map((reason) => (
                <li key={reason}>{reason}</li>
              ))}
            </ul>
          )}
          <p className="mt-1 text-sm text-muted">
            Version {health.version}, up for {formatDuration(health.uptimeSeconds * 1000)}
          </p>
        </div>
      </section>
      <div className="grid gap-4 md:grid-cols-2">
        <Card title="Claude CLI">
          <Row name="Version">{claude.version ?? 'unknown'}</Row>
          <Row name="Path">
            {claude.path === null ? 'not found' : <code className="font-mono text-[0.8125rem]">{claude.path}</code>}
          </Row>
          {claude.error !== null && (
            <Row name="Problem">
              <Bad>{claude.error}</Bad>
            </Row>
          )}
        </Card>
        <Card title="Model API">
          <Row name="Mode">{modelApi.mode === 'demo' ? 'demo (built-in script, not the model)' : 'live'}</Row>
          <Row name="Upstream">
            <code className="font-mono text-[0.8125rem]">{modelApi.upstream}</code>
          </Row>
          <Row name="Credential">{credentials[modelApi.credential]}</Row>
          {modelApi.reachable !== null && (
            <Row name="Reachable">{modelApi.reachable ? 'yes' : <Bad>no: {modelApi.error}</Bad>}</Row>
          )}
          <Row name="Broker">{modelApi.broker === 'up' ? 'up' : <Bad>down</Bad>}</Row>
        </Card>
        <Card title="Isolation">
          <Row name="Level">
            {isolation.level === isolation.wanted ? (
              isolation.level
            ) : (
              <Bad>
                {isolation.level}, not {isolation.wanted}
              </Bad>
            )}
          </Row>
          <Row name="Uids">{isolation.uidPerUser ? 'one for each user' : 'one for all users'}</Row>
          <Row name="Limits">{isolation.limits}</Row>
          <Row name="Kill">{isolation.kill}</Row>
          <Row name="Credentials">{isolation.credentials}</Row>
          <Row name="Missing">
            {isolation.missing.length === 0 ? (
              'nothing'
            ) : (
              <ul className="grid grid-cols-1 gap-1.5">
                {isolation.missing.map(({ part, error, fix }) => (
                  <li key={part}>
                    {part}: <Bad>{error}</Bad> <span className="text-muted">{fix}</span>
                  </li>
                ))}
              </ul>
            )}
          </Row>
        </Card>
        <Card title="Sessions">
          <Row name="Total">{sessions.total}</Row>
          <Row name="Running">{sessions.running}</Row>
          <Row name="Processes">{sessions.processes}</Row>
        </Card>
        <Card title="Storage">
          <Row name="Database">{storage.database}</Row>
          <Row name="Key-value">{storage.keyValue}</Row>
          <Row name="Schema">{storage.schemaVersion}</Row>
          <Row name="Writable">{storage.writable ? 'yes' : <Bad>no: {storage.error}</Bad>}</Row>
        </Card>
        <Card title="Machine">
          <Row name="Memory">
            <Left available={system.memory.availableBytes} total={system.memory.totalBytes} />
          </Row>
          <Row name="Pressure">{system.memory.pressure === 'none' ? 'none' : <Bad>{system.memory.pressure}</Bad>}</Row>
          <Row name="Disk">
            <Left available={system.disk.availableBytes} total={system.disk.totalBytes} />
          </Row>
          <Row name="CPUs">
            {system.cpu.count}, load {system.cpu.load.toFixed(1)}
          </Row>
        </Card>
      </div>
    </>
  )
}

const Bad = ({ children }: { children: ReactNode }) => <span className="text-danger">{children}</span>

const Left = ({ available, total }: { available: number | null; total: number | null }) =>
  available === null || total === null ? 'unknown' : `${formatBytes(available)} of ${formatBytes(total)} available`

const Card = ({ title, children }: { title: string; children: ReactNode }) => (
  <section aria-label={title} className="rounded-xl border border-line bg-surface p-4">
    <h2 className="mb-2 font-semibold">{title}</h2>
    <dl className="grid grid-cols-1 gap-1.5 text-sm">{children}</dl>
  </section>
)

const Row = ({ name, children }: { name: string; children: ReactNode }) => (
  <div className="grid grid-cols-[6.5rem_1fr] gap-2">
    <dt className="text-muted">{name}</dt>
    <dd className="min-w-0 wrap-anywhere tabular-nums">{children}</dd>
  </div>
)
