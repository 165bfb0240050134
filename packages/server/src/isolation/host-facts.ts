import { existsSync, readFileSync } from 'node:fs'

/** Switches of the host that decide whether a sandbox can be built, and what kind of host it is. */
export type HostFacts = {
  uid: number
  container: boolean
  /** Ubuntu's AppArmor denies user namespaces to programs without a profile. */
  apparmorRestricts: boolean
  /** Debian's and others' switch for unprivileged user namespaces. */
  unprivilegedUserns: boolean
  maxUserNamespaces: number
  maxNetNamespaces: number
}

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

export const readHostFacts = (): HostFacts => ({
  uid: process.getuid?.() ?? -1,
  container:
    existsSync('/.dockerenv') || existsSync('/run/.containerenv') || read('/run/host/container-manager') !== undefined,
  apparmorRestricts: read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === '1',
  unprivilegedUserns: read('/proc/sys/kernel/unprivileged_userns_clone') !== '0',
  maxUserNamespaces: Number(read('/proc/sys/user/max_user_namespaces') ?? 1),
  maxNetNamespaces: Number(read('/proc/sys/user/max_net_namespaces') ?? 1),
})
