import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'

/** Source: open(2). */
const closeOnExec = 0o2000000
/** What stays open by mistake is opened early; a server with ten thousand connections shall not look at each of them. */
const looked = 256

/** Which of the open descriptors, past the usual three, a child would get. Source: proc(5), fdinfo. */
const inherited = (): number[] => {
  if (!existsSync('/proc/self/fdinfo')) return []
  return readdirSync('/proc/self/fdinfo')
    .map(Number)
    .filter((fd) => {
      if (fd < 3 || fd >= looked) return false
      try {
        const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? ''
        return (Number.parseInt(flags, 8) & closeOnExec) === 0
      } catch {
        // The one that the folder itself was read by.
        return false
      }
    })
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
    for (const fd of inherited()) {
      if (typeof stdio[fd] === 'number') continue
      while (stdio.length < fd) stdio.push('ignore')
      stdio[fd] = nothing
    }
    return start(stdio)
  } finally {
    closeSync(nothing)
  }
}
