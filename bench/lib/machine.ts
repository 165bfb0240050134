import { cpus, release, totalmem } from 'node:os'
import { askVersion } from '../../packages/server/src/claude/find.ts'
import { realClaude } from './programs.ts'

export type Machine = {
  cpu: string
  cores: number
  memoryGiB: number
  system: string
  node: string
  claude: string | null
}

/** What the figures depend on. */
export const describeMachine = async (): Promise<Machine> => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  system: `${process.platform} ${release()}`,
  node: process.version,
  claude: (await askVersion(realClaude().path)).version,
})
