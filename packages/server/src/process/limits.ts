/** Ceilings of one session's process. Address space is never limited: claude maps 10 GB of it. */
export type Limits = { openFiles: number; fileSizeBytes: number; processes: number }

export const defaultLimits: Limits = { openFiles: 4096, fileSizeBytes: 4 * 1024 ** 3, processes: 8192 }

/** `processes` counts all of a uid's processes and does not bind root: see docs/operations.md. */
export const prlimitArgv = (limits: Limits): [string, ...string[]] => [
  'prlimit',
  `--nofile=${limits.openFiles}`,
  `--fsize=${limits.fileSizeBytes}`,
  `--nproc=${limits.processes}`,
  '--core=0',
]
