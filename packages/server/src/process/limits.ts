import type { ResourceLimits } from '@aicm/protocol'

/** `processes` counts all of a uid's processes and does not bind root: see docs/isolation.md. What has no limit keeps the server's. */
export const prlimitArgv = (limits: ResourceLimits): [string, ...string[]] => [
  'prlimit',
  ...Object.entries({
    nofile: limits.files,
    fsize: limits.fileSize,
    nproc: limits.processes,
    core: limits.core,
  }).flatMap(([name, limit]) => (limit === null ? [] : [`--${name}=${limit}`])),
]
