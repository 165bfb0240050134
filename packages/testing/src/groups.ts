import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { parentOf } from '../../server/src/isolation/probe-groups.ts'
import { foldersOf } from '../../server/src/process/group.ts'

/** The folders of the control groups that a server on this data folder has made, the outer ones last. */
export const groupFolders = (dataDir: string): string[] =>
  foldersOf(parentOf(dataDir) ?? { version: 2, folders: {} }).flatMap((parent) => {
    try {
      const inner = readdirSync(parent, { withFileTypes: true }).filter((entry) => entry.isDirectory())
      return [...inner.map(({ name }) => join(parent, name)), parent]
    } catch {
      return []
    }
  })

/** Removes them: nothing runs in them any more. */
export const removeGroups = (dataDir: string): void => groupFolders(dataDir).forEach((folder) => rmdirSync(folder))
