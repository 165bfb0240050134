import type { Health } from '@aicm/protocol'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { inertLine } from '../../inert.ts'
import { fields } from '../../table.ts'

export const health = async (context: Context): Promise<ExitCode> => {
  const state = await (await context.client()).health()
  if (context.json) context.out.json(state)
  else {
    const { style } = context.out
    context.out.print(state.status === 'ok' ? style.green('ok') : style.yellow('degraded'))
    for (const reason of state.reasons) context.out.print(`  ${inertLine(reason)}`)
    context.out.print(fields(rows(state, await context.server())))
  }
  return state.status === 'ok' ? exitCodes.ok : exitCodes.failed
}

const rows = (
  { version, uptimeSeconds, claude, modelApi, isolation, storage, system, sessions }: Health,
  server: string,
): [string, string][] => [
  ['server', `${server}, version ${version}, up for ${duration(uptimeSeconds)}`],
  [
    'claude',
    claude.path === null ? (claude.error ?? 'not found') : `${claude.version ?? 'version unknown'}, ${claude.path}`,
  ],
  ...(claude.path !== null && claude.error !== null ? [['', claude.error] satisfies [string, string]] : []),
  [
    'model API',
    modelApi.mode === 'demo'
      ? 'demo: the real Claude CLI answers from a built-in script, not from the model'
      : `${modelApi.upstream}${reachable(modelApi)}, credential: ${modelApi.credential}`,
  ],
  ['broker', modelApi.broker],
  [
    'isolation',
    `${isolation.level}${isolation.level === isolation.wanted ? '' : ` (wanted ${isolation.wanted})`}, ${isolation.uidPerUser ? 'a uid for each user' : 'one uid for all users'}, limits: ${isolation.limits}, kill: ${isolation.kill}, credentials: ${isolation.credentials}`,
  ],
  ...isolation.missing.map(
    ({ part, error, fix }) => ['', inertLine(`missing: ${part}: ${error}. ${fix}`)] satisfies [string, string],
  ),
  [
    'storage',
    `${storage.database}, ${storage.keyValue}, schema ${storage.schemaVersion}${storage.writable ? '' : '; cannot be written'}`,
  ],
  [
    'memory',
    `${size(system.memory.availableBytes)} of ${size(system.memory.totalBytes)} available, pressure: ${system.memory.pressure}`,
  ],
  ['disk', `${size(system.disk.availableBytes)} of ${size(system.disk.totalBytes)} available`],
  ['CPUs', `${system.cpu.count}, load ${system.cpu.load.toFixed(1)}`],
  [
    'sessions',
    `${sessions.total}, ${sessions.running} running, ${sessions.processes} processes (${sessions.spares} spare)${sessions.waiting > 0 ? `, ${sessions.waiting} waiting for one` : ''}`,
  ],
]

const reachable = ({ reachable }: Health['modelApi']): string =>
  reachable === null ? '' : reachable ? ', reachable' : ', cannot be reached'

const size = (bytes: number | null): string => (bytes === null ? 'unknown' : `${(bytes / 1024 ** 3).toFixed(1)} GB`)

const duration = (seconds: number): string => {
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3600) % 24,
    Math.floor(seconds / 60) % 60,
  ]
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min` : `${Math.round(seconds)} s`
}
