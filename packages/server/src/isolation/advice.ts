import type { HostFacts } from './host-facts.ts'

/** What the operator can do about a sandbox that could not be built. `error` is what was said when it was tried. */
export const adviceForLevel = (error: string, host: HostFacts): string => {
  if (/prlimit is not installed/.test(error)) return 'Install util-linux, which has prlimit.'
  if (/not installed|execute bwrap: No such file/.test(error))
    return 'Install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap).'
  if (/unknown option/i.test(error))
    return 'Update bubblewrap: 0.8 or newer with your distribution’s security updates is needed.'
  if (host.maxUserNamespaces === 0) return 'Allow user namespaces: sysctl user.max_user_namespaces=10000'
  if (host.maxNetNamespaces === 0) return 'Allow network namespaces: sysctl user.max_net_namespaces=10000'
  if (!host.unprivilegedUserns && host.uid !== 0)
    return 'Allow user namespaces to users: sysctl kernel.unprivileged_userns_clone=1'
  if (host.apparmorRestricts)
    return 'AppArmor denies user namespaces here: give bwrap a profile with `userns,` (docs/isolation.md has it), or sysctl kernel.apparmor_restrict_unprivileged_userns=0'
  if (host.container && /namespace|permi|mount/i.test(error))
    return 'The container denies namespaces: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or one container for each user.'
  return 'See docs/isolation.md for what each kind of host needs.'
}

/** The same about a uid for each user. */
export const adviceForUid = (error: string, host: HostFacts, folder: string): string => {
  if (host.uid !== 0) return 'Run the server as root: it gives up root for each session (docs/isolation.md).'
  if (/EINVAL|invalid argument/i.test(error))
    return 'This namespace does not have those uids: choose some that it has with --uid-range FIRST-LAST.'
  if (/EPERM|not permitted/i.test(error)) return 'Give the server CAP_SETUID, CAP_SETGID, CAP_CHOWN and CAP_KILL.'
  if (/permission denied|cannot be reached/i.test(error))
    return `Every folder on the way to ${folder} must let other users through (chmod o+x), or choose another with --data-dir, and a claude that all may run with --claude.`
  return 'See docs/isolation.md.'
}

/** The same about limits that need a control group. */
export const adviceForLimit = (error: string, host: HostFacts): string => {
  if (/EROFS|read-only/i.test(error) && host.container)
    return 'The container has its control groups read-only: mount /sys/fs/cgroup writable in it, or limit the container as a whole.'
  if (/not mounted/.test(error)) return 'Mount control groups (mount -t cgroup2 none /sys/fs/cgroup).'
  if (host.uid !== 0 || /not delegated|others beside/.test(error))
    return 'Run the server as a systemd service with Delegate=yes, or with systemd-run --user --scope -p Delegate=yes (docs/isolation.md).'
  return 'See docs/isolation.md.'
}
