import type { Health } from '@aicm/protocol'
import type { BrokerProcess } from '../broker/broker-process.ts'
import type { ClaudeProgram } from '../claude/find.ts'
import type { Config } from '../config/config.ts'
import type { Isolation } from '../isolation/level.ts'
import type { RunningProcesses } from '../session/processes.ts'
import type { Database } from '../storage/database.ts'

/** What the server runs on and what is wrong with it, put together from what each part says of itself. */
export const createHealth =
  (parts: {
    config: Config
    version: string
    startedAt: number
    database: Database
    keyValueKind: string
    broker: BrokerProcess
    processes: RunningProcesses
    claude: () => Promise<ClaudeProgram>
    isolation: () => Promise<Isolation>
  }) =>
  async (): Promise<Health> => {
    const { modelApi } = parts.config
    const [claude, isolation, broker, counts] = await Promise.all([
      parts.claude(),
      parts.isolation(),
      // While it starts it is neither up nor down: its start is waited for.
      parts.broker.up().then(parts.broker.status, () => undefined),
      parts.database.sessions.counts(),
    ])
    const { kind, schemaVersion } = parts.database.describe()
    const reasons = [
      ...(claude.error === null ? [] : [claude.error]),
      ...(broker === undefined ? ['The broker is down: sessions cannot reach the model API until it is back.'] : []),
      ...(modelApi.mode === 'live' && modelApi.credential.kind === 'none'
        ? ['There is no credential for the model API.']
        : []),
      ...(isolation.level === 'sandbox' ? [] : [`Isolation is "${isolation.level}" only.`]),
    ]
    return {
      status: reasons.length === 0 ? 'ok' : 'degraded',
      reasons,
      version: parts.version,
      uptimeSeconds: Math.round((Date.now() - parts.startedAt) / 1000),
      claude,
      modelApi: {
        mode: modelApi.mode,
        upstream: modelApi.mode === 'demo' ? 'built-in scripted API' : new URL(modelApi.upstream).origin,
        credential: modelApi.mode === 'demo' ? 'none' : modelApi.credential.kind,
        broker: broker === undefined ? 'down' : 'up',
      },
      isolation,
      storage: { database: kind, keyValue: parts.keyValueKind, schemaVersion },
      sessions: { ...counts, processes: parts.processes.count() },
    }
  }
