import { closeSync, readdirSync, readFileSync } from 'node:fs'

/** Source: open(2). */
const closeOnExec = 0o2000000
/** What stays open by mistake is opened early; a server with ten thousand connections shall not look at each of them. */
const looked = 256

/** Descriptors above the usual three that every child would inherit. Node opens none such; others do. */
export const inheritableDescriptors = (): number[] => {
  let names: string[]
  try {
    names = readdirSync('/proc/self/fdinfo')
  } catch {
    // No Linux: nothing tells what is open.
    return []
  }
  return names.map(Number).filter((fd) => {
    if (fd <= 2 || fd >= looked) return false
    try {
      const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0'
      return (Number.parseInt(flags, 8) & closeOnExec) === 0
    } catch {
      // The one that listed the folder.
      return false
    }
  })
}

/** Closes what whoever started this program left open in it: a lock, a pipe, another's log. Called first, once. */
export const closeInherited = (keep: string | undefined): void => {
  for (const fd of inheritableDescriptors()) if (String(fd) !== keep) closeSync(fd)
}
