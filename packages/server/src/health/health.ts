import type { Health, Isolation } from '@aicm/protocol'
import type { BrokerProcess } from '../broker/broker-process.ts'
import type { ClaudeProgram } from '../claude/find.ts'
import type { Config } from '../config/config.ts'
import { toAppError } from '../lib/app-error.ts'
import type { Breaker } from '../lib/breaker.ts'
import type { RunningProcesses } from '../session/processes.ts'
import type { Registry } from '../session/registry.ts'
import type { Database } from '../storage/database.ts'
import type { StorageCheck } from './storage-check.ts'
import { readSystem } from './system.ts'

/** What the server runs on and what is wrong with it, put together from what each part says of itself. */
export const createHealth =
  (parts: {
    config: Config
    version: string
    startedAt: number
    database: Database
    keyValueKind: string
    storage: StorageCheck
    broker: BrokerProcess
    processes: RunningProcesses
    registry: Registry
    /** By failure domain. */
    breakers: { storage: Pick<Breaker, 'state' | 'reason'>; claude: Pick<Breaker, 'state' | 'reason'> }
    diverted(): number
    claude: () => Promise<ClaudeProgram>
    isolation: () => Promise<Isolation>
  }) =>
  async (): Promise<Health> => {
    const { modelApi } = parts.config
    const [claude, isolation, broker, upstream, storage, { system, reasons: shortages }, counts] = await Promise.all([
      parts.claude(),
      parts.isolation(),
      // While it starts it is neither up nor down: its start is waited for.
      parts.broker.up().then(parts.broker.status, () => undefined),
      parts.broker.upstream(),
      parts.storage(),
      readSystem(parts.config.dataDir),
      parts.database.sessions.counts().then(
        (found) => ({ found, error: null }),
        (error: unknown) => ({ found: { total: 0, running: 0 }, error: toAppError(error).message }),
      ),
    ])
    const { kind, schemaVersion } = parts.database.describe()
    const credentials = broker?.credentials ?? []
    const breaker = credentials.find((credential) => credential.breaker !== 'closed')?.breaker ?? 'closed'
    const { spares, waiting } = parts.registry.counts()
    const reasons = [
      ...(claude.error === null ? [] : [claude.error]),
      ...(broker === undefined ? ['The broker is down: sessions cannot reach the model API until it is back.'] : []),
      ...(upstream?.error == null ? [] : [`The model API cannot be reached: ${upstream.error}.`]),
      ...(modelApi.mode === 'live' && modelApi.credential.kind === 'none' && credentials.length < 2
        ? ['There is no credential for the model API.']
        : []),
      // A user's own credential is no affair of the server's: its owner sees it.
      ...credentials.flatMap(({ id, userId, state }) =>
        userId === null && state === 'auth_required'
          ? [`The credential ${id} for the model API was refused: it must be renewed.`]
          : [],
      ),
      ...(broker === undefined || broker.ledger.error === null
        ? []
        : [`What is spent cannot be written down: ${broker.ledger.error}.`]),
      ...(storage.error === null ? [] : [`Nothing can be stored: ${storage.error}`]),
      ...(counts.error === null ? [] : [`The database cannot be read: ${counts.error}`]),
      ...shortages,
      ...(breaker === 'closed' ? [] : ['The model API failed several times in a row, and is left alone for a moment.']),
      ...(parts.breakers.claude.state() === 'closed' ? [] : ['claude could not be started several times in a row.']),
      ...(parts.breakers.storage.state() === 'closed'
        ? []
        : ['Writing to the database failed several times in a row.']),
      ...(parts.diverted() === 0
        ? []
        : ['The newest messages are in the fallback store, until the database can be written.']),
      ...(isolation.level === isolation.wanted
        ? []
        : [`Isolation is "${isolation.level}" only, not "${isolation.wanted}".`]),
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
        reachable: upstream === undefined ? null : upstream.error === null,
        error: upstream?.error ?? null,
        credentials: credentials
          .filter(({ userId }) => userId === null)
          .map(({ id, kind, state, until, active, waiting }) => ({ id, kind, state, until, active, waiting })),
        brokerRestarts: parts.broker.restarts(),
      },
      isolation,
      storage: {
        ...{ database: kind, keyValue: parts.keyValueKind, schemaVersion },
        ...{ writable: storage.error === null, error: storage.error },
      },
      system,
      breakers: {
        storage: parts.breakers.storage.state(),
        claude: parts.breakers.claude.state(),
        modelApi: breaker,
      },
      sessions: { ...counts.found, processes: parts.processes.count(), spares, waiting, diverted: parts.diverted() },
    }
  }
