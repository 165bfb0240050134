import { closeSync, openSync, readFileSync } from 'node:fs'

/** Source: open(2). */
const closeOnExec = 0o2000000
/** What stays open by mistake is opened early; a server with ten thousand connections shall not look at each of them. */
const looked = 256

const isInherited = (fd: number): boolean => {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch {
    return false
  }
}

/**
 * Calls `start` with the descriptors that a child is to have, in their order, and makes sure that it gets no others. Node closes
 * its own in every child, but LMDB leaves its data file open, and whoever started this server may have left anything: there
 * a child gets /dev/null.
 */
export const onlyThese = <T>(
  descriptors: readonly (number | 'ignore')[],
  start: (stdio: (number | 'ignore')[]) => T,
): T => {
  const stdio = [...descriptors]
  const nothing = openSync('/dev/null', 'r')
  try {
    for (let fd = stdio.length; fd < looked; fd++) {
      if (!isInherited(fd)) continue
      while (stdio.length < fd) stdio.push('ignore')
      stdio[fd] = nothing
    }
    return start(stdio)
  } finally {
    closeSync(nothing)
  }
}
