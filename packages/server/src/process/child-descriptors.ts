import { closeSync, constants, openSync, readlinkSync } from 'node:fs'
import { inheritableDescriptors } from '../lib/inheritable.ts'

/** A folder that a child is given as a descriptor. */
export type ChildFolder = {
  path: string
  /** Refuse it when a link is on the way: where others can write, the path may have come to name another folder. */
  exact: boolean
}

/**
 * What a child's descriptors above the usual three mean to the wrappers around it; the program itself has none of them. Mounts
 * come last: the shell that puts it into its groups knows descriptors of one digit only.
 */
export const childDescriptors = { folder: 3, status: 4, group: 5, mounts: 10 } as const

/** Names a file without opening it: a FIFO waits for nobody, a device notices nothing. Node does not have it. */
const O_PATH = 0o10000000

const openForChild = ({ path, exact }: ChildFolder, flags: number): number => {
  const fd = openSync(path, flags)
  const real = readlinkSync(`/proc/self/fd/${fd}`)
  if (!exact || real === path) return fd
  closeSync(fd)
  throw new Error(`${path} is not what it was: it leads to ${real} now.`)
}

/** Opens it for a child, which then has the folder that was checked, whatever becomes of the path. */
export const openChildFolder = (folder: ChildFolder): number =>
  openForChild(folder, constants.O_RDONLY | constants.O_DIRECTORY)

/** The same of a file or folder that a child is shown, at a path without links. */
export const openMount = (path: string): number => openForChild({ path, exact: true }, O_PATH)

/**
 * `stdio` for a child that shall have nothing else of ours: lmdb leaves its file open to children, to write. What cannot be
 * closed in the child has /dev/null put over it.
 */
export const nothingElse = <Given extends number | 'ignore' | 'pipe'>(
  stdio: readonly Given[],
  { mounts, devNull }: { mounts: readonly number[]; devNull: number },
): (Given | number | 'ignore')[] => {
  const all: (Given | number | 'ignore')[] = [...stdio]
  const put = (at: number, fd: number): void => {
    while (all.length < at) all.push('ignore')
    all[at] = fd
  }
  for (const [index, fd] of mounts.entries()) put(childDescriptors.mounts + index, fd)
  for (const fd of inheritableDescriptors()) if (typeof all[fd] !== 'number') put(fd, devNull)
  return all
}
