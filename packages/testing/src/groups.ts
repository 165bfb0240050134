import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { parentOf } from '../../server/src/isolation/probe-groups.ts'
import { foldersOf } from '../../server/src/process/group.ts'

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

/** Removes them; false while something that was killed is still in one. */
export const removeGroups = (dataDir: string): boolean =>
  groupFolders(dataDir).every((folder) => {
    try {
      rmdirSync(folder)
      return true
    } catch {
      return false
    }
  })
