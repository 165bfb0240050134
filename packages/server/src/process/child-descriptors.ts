import { closeSync, constants, openSync, readlinkSync } from 'node:fs'
import { inheritableDescriptors } from '../lib/inheritable.ts'

/** A folder that a child is given as a descriptor. */
export type ChildFolder = {
  path: string
  /** Refuse it when a link is on the way: where others can write, the path may have come to name another folder. */
  exact: boolean
}

/** What a child's descriptors above the usual three mean to the wrappers around it; the program itself has neither. */
export const childDescriptors = { folder: 3, status: 4, group: 5 } as const

/** Opens it for a child, which then has the folder that was checked, whatever becomes of the path. */
export const openChildFolder = ({ path, exact }: ChildFolder): number => {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  const real = readlinkSync(`/proc/self/fd/${fd}`)
  if (!exact || real === path) return fd
  closeSync(fd)
  throw new Error(`${path} is not the folder that it was: it leads to ${real} now.`)
}

/**
 * `stdio` for a child that shall have nothing else of ours: lmdb leaves its file open to children, to write. What cannot be
 * closed in the child has /dev/null put over it.
 */
export const nothingElse = <Given extends number | 'ignore' | 'pipe'>(
  stdio: readonly Given[],
  devNull: number,
): (Given | number | 'ignore')[] => {
  const all: (Given | number | 'ignore')[] = [...stdio]
  for (const fd of inheritableDescriptors()) {
    if (typeof stdio[fd] === 'number') continue
    while (all.length < fd) all.push('ignore')
    all[fd] = devNull
  }
  return all
}
