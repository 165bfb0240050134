import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Scope } from './scope.ts'

export type Folder = AsyncDisposable & { path: string }

/** A new folder that goes with everything in it. */
export const temporaryFolder = async (scope: Scope): Promise<Folder> => {
  const path = await mkdtemp(join(tmpdir(), 'aicm-bench-'))
  return { path, ...scope.own(() => rm(path, { recursive: true, force: true, maxRetries: 5 })) }
}
