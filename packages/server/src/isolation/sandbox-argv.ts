import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs'

/** What a session may see. Paths are the host's; inside they are the same, except the broker's folder. */
export type View = {
  workspace: string
  home: string
  /** Becomes /tmp. */
  tmp: string
  /** Folder of the broker's socket: bound as a folder, because a new broker's socket is a new file. */
  brokerDir: string
  /** The program to run: one file, read-only. */
  program: string
}

export const brokerDirInside = '/run/aicm'

/** Of /etc only what programs need to run; nothing there is the server's. */
const etc = [
  'alternatives',
  'ca-certificates',
  'ca-certificates.conf',
  'gitconfig',
  'group',
  'host.conf',
  'hosts',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'mime.types',
  'nsswitch.conf',
  'passwd',
  'pki',
  'profile',
  'protocols',
  'resolv.conf',
  'services',
  'shells',
  'ssl',
  'timezone',
]

/** /bin and the like are links into /usr on most systems, folders on some. */
const systemFolder = (path: string): string[] => {
  if (!existsSync(path)) return []
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}

/** The zone's name is in where the link points: without it each start of claude opens all 1200 zones to find the same bytes. */
const localTime = (): string[] => {
  const path = '/etc/localtime'
  if (!existsSync(path)) return []
  const target = realpathSync(path)
  return target.startsWith('/usr/') ? ['--symlink', target, path] : ['--ro-bind', path, path]
}

/**
 * Where the kernel takes orders from whoever is root, capabilities or not: a server that runs as root starts its sessions as
 * root too, and a program named in kernel/core_pattern is run outside of every wall. Read-only, for every process inside.
 */
const kernelSettings = ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs']

/**
 * bwrap's arguments for level `sandbox`: own file view, own process, IPC and host-name namespaces. The network is still the
 * host's. Killing its init ends everything in it. Status goes to descriptor 3.
 */
export const sandboxArgv = (view: View): [string, ...string[]] => [
  'bwrap',
  '--unshare-user',
  '--unshare-pid',
  '--unshare-ipc',
  '--unshare-uts',
  '--unshare-cgroup-try',
  '--cap-drop',
  'ALL',
  '--new-session',
  '--hostname',
  'aicm',
  '--ro-bind',
  '/usr',
  '/usr',
  ...['/bin', '/sbin', '/lib', '/lib32', '/lib64'].flatMap(systemFolder),
  ...etc.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
  ...localTime(),
  '--proc',
  '/proc',
  ...kernelSettings.flatMap((path) => ['--ro-bind-try', path, path]),
  '--dev',
  '/dev',
  '--bind',
  view.tmp,
  '/tmp',
  '--ro-bind',
  view.brokerDir,
  brokerDirInside,
  // Not its folder: that may be somebody's home.
  '--ro-bind',
  view.program,
  view.program,
  '--bind',
  view.home,
  view.home,
  '--bind',
  view.workspace,
  view.workspace,
  // What is left of the root is a file system in memory: nobody needs to write there.
  '--remount-ro',
  '/',
  '--chdir',
  view.workspace,
  '--json-status-fd',
  '3',
  '--',
]
