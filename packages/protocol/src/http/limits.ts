import { Type, type Static, type TSchema } from 'typebox'
import { UserId } from '../ids.ts'
import { route } from '../route.ts'
import { strict } from './common.ts'

const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()])

const bytes = (minimum: number, description: string) =>
  Type.Integer({ minimum, maximum: Number.MAX_SAFE_INTEGER, description })
const count = (minimum: number, description: string) => Type.Integer({ minimum, maximum: 2 ** 31 - 1, description })

export const resourceNames = ['memory', 'cpus', 'pids', 'files', 'processes', 'fileSize', 'core'] as const
export type ResourceName = (typeof resourceNames)[number]
export const resourcesInBytes: readonly ResourceName[] = ['memory', 'fileSize', 'core']

/** Below these nothing can be started. The kernel takes no less than a hundredth of a CPU. */
export const leastResources: Readonly<Record<ResourceName, number>> = {
  ...{ memory: 64 * 2 ** 20, cpus: 0.01, pids: 32 },
  ...{ files: 64, processes: 32, fileSize: 2 ** 20, core: 0 },
}

const values = {
  memory: bytes(leastResources.memory, 'Bytes of all that it runs, files in memory included'),
  cpus: Type.Number({ minimum: leastResources.cpus, maximum: 10_000, description: 'CPUs, parts too' }),
  pids: count(leastResources.pids, 'Processes and threads'),
  files: count(leastResources.files, 'Open files of each process'),
  processes: count(leastResources.processes, 'Processes of the uid that it runs as, where that is not root'),
  fileSize: bytes(leastResources.fileSize, 'Bytes of each file that it writes'),
  core: bytes(leastResources.core, 'Bytes of each core dump'),
}

/** What a session's process may take, with all that it starts. `memory`, `cpus` and `pids` need a control group. */
export const ResourceLimits = Type.Object({
  memory: nullable(values.memory),
  cpus: nullable(values.cpus),
  pids: nullable(values.pids),
  files: nullable(values.files),
  processes: nullable(values.processes),
  fileSize: nullable(values.fileSize),
  core: nullable(values.core),
})
export type ResourceLimits = Static<typeof ResourceLimits>

/** Where a user's limits differ from the server's; null is none. */
export const ResourceLimitChanges = strict({
  memory: Type.Optional(nullable(values.memory)),
  cpus: Type.Optional(nullable(values.cpus)),
  pids: Type.Optional(nullable(values.pids)),
  files: Type.Optional(nullable(values.files)),
  processes: Type.Optional(nullable(values.processes)),
  fileSize: Type.Optional(nullable(values.fileSize)),
  core: Type.Optional(nullable(values.core)),
})
export type ResourceLimitChanges = Static<typeof ResourceLimitChanges>

/** As administrators see them. */
const UserResourceLimits = Type.Object({ ...ResourceLimits.properties, changes: ResourceLimitChanges })

/** What one session gives up of its user's limits. */
export const SessionLimits = strict(
  {
    memory: Type.Optional(values.memory),
    cpus: Type.Optional(values.cpus),
    pids: Type.Optional(values.pids),
    files: Type.Optional(values.files),
    processes: Type.Optional(values.processes),
    fileSize: Type.Optional(values.fileSize),
    core: Type.Optional(values.core),
  },
  { minProperties: 1 },
)
export type SessionLimits = Static<typeof SessionLimits>

const params = strict({ id: UserId })
const tag = 'users'

export const limitRoutes = {
  mine: route({
    id: 'limits',
    method: 'GET',
    path: '/v1/limits',
    summary: 'What each of your sessions may take of the machine',
    tag: 'auth',
    auth: 'token',
    status: 200,
    response: ResourceLimits,
  }),
  get: route({
    id: 'getLimits',
    method: 'GET',
    path: '/v1/users/:id/limits',
    summary: "Show the limits of a user's sessions",
    tag,
    auth: 'users.manage',
    params,
    status: 200,
    response: UserResourceLimits,
  }),
  set: route({
    id: 'setLimits',
    method: 'PUT',
    path: '/v1/users/:id/limits',
    summary: "Set the limits of a user's sessions",
    description:
      "Replaces what was set before: what is left out is the server's default again, null is no limit. Processes that are started later have them.",
    tag,
    auth: 'users.manage',
    params,
    body: ResourceLimitChanges,
    status: 200,
    response: UserResourceLimits,
  }),
} as const
