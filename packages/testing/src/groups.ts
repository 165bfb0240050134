import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { parentOf } from '../../server/src/isolation/probe-groups.ts'
import { foldersOf } from '../../server/src/process/group.ts'
import { kill } from './processes.ts'

/** The folders of the control groups that a server on this data folder has made, the outer ones last. */
export const groupFolders = (dataDir: string): string[] =>
  foldersOf((existsSync(dataDir) && parentOf(dataDir)) || { version: 2, folders: {} }).flatMap((parent) => {
    try {
      const inner = readdirSync(parent, { withFileTypes: true }).filter((entry) => entry.isDirectory())
      return [...inner.map(({ name }) => join(parent, name)), parent]
    } catch {
      return []
    }
  })

/**
 * Ends what is in them, and removes them; false while something is still in one. What a server had just begun to start when it
 * was ended has neither arguments nor an environment yet by which it could be found.
 */
export const removeGroups = (dataDir: string): boolean =>
  groupFolders(dataDir).every((folder) => {
    try {
      for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').map(Number))
        if (pid > 0) kill(pid, 'SIGKILL')
      rmdirSync(folder)
      return true
    } catch {
      return false
    }
  })
