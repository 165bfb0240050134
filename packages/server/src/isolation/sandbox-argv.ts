import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { childDescriptors } from '../process/child-descriptors.ts'

/**
 * What a program of a user's may see. Paths are the host's; inside they are the same, except the socket's folder. A program that works for
 * the server, not for itself, has no home, no socket, and a /tmp that nobody else sees.
 */
export type View = {
  /** The folder is the child's descriptor for it (see ChildFolder); this is its name. */
  workspace: string
  home?: string
  /** Becomes /tmp. */
  tmp?: string
  /** Folder of `api.sock`, the only way out of `sealed`: bound as a folder, because a new broker's socket is a new file. */
  socketDir?: string
  /** The program to run: one file, read-only. */
  program: string
  /** Holds the `passwd` and `group` that are seen instead of the host's: see writeAccounts. */
  accountsDir: string
  /** More that may be read, with the same names. */
  readOnly: readonly string[]
  /** The same, as the child's descriptors for mounts: what others could replace by a link. */
  mounts?: readonly string[]
}

export const socketDirInside = '/run/aicm'

/** Of /etc only what programs need to run; nothing there is the server's. */
const etc = [
  'alternatives',
  'ca-certificates',
  'ca-certificates.conf',
  'gitconfig',
  'host.conf',
  'hosts',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'mime.types',
  'nsswitch.conf',
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

/** Who a session is inside, whoever it is outside. */
const inside = { uid: '1000', gid: '1000' }
/** It is memory that no limit of a session counts where there are no cgroups. */
const sharedMemoryBytes = 256 * 2 ** 20
/** Of the /tmp of a program that has none of its own: it is memory too. */
const tmpBytes = 2 ** 20

/**
 * Where the kernel takes orders from whoever is root, capabilities or not: a server that runs as root starts its sessions as
 * root too, and a program named in kernel/core_pattern is run outside of every wall. Read-only, for every process inside.
 */
const kernelSettings = ['/proc/sys', '/proc/sysrq-trigger', '/proc/irq', '/proc/bus', '/proc/fs']

/**
 * bwrap's arguments for level `sandbox`: own file view, own process, IPC and host-name namespaces. The network is still the
 * host's; `sealed` takes that away too, and the way to further namespaces. Killing its init ends everything in it.
 */
export const sandboxArgv = (
  view: View,
  { sealed, endsWithServer }: { sealed: boolean; endsWithServer: boolean },
): [string, ...string[]] => [
  'bwrap',
  // The thread that starts it is the server's main one, which lives as long as the server.
  ...(endsWithServer ? ['--die-with-parent'] : []),
  '--unshare-user',
  '--uid',
  inside.uid,
  '--gid',
  inside.gid,
  '--unshare-pid',
  '--unshare-ipc',
  '--unshare-uts',
  '--unshare-cgroup-try',
  ...(sealed ? ['--unshare-net', '--disable-userns'] : []),
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
  ...['passwd', 'group'].flatMap((name) => ['--ro-bind', join(view.accountsDir, name), `/etc/${name}`]),
  ...localTime(),
  '--proc',
  '/proc',
  ...kernelSettings.flatMap((path) => ['--ro-bind-try', path, path]),
  '--dev',
  '/dev',
  '--size',
  String(sharedMemoryBytes),
  '--tmpfs',
  '/dev/shm',
  '--remount-ro',
  '/dev',
  ...(view.tmp === undefined ? ['--size', String(tmpBytes), '--tmpfs', '/tmp'] : ['--bind', view.tmp, '/tmp']),
  ...view.readOnly.flatMap((path) => ['--ro-bind', path, path]),
  ...(view.mounts ?? []).flatMap((path, index) => ['--ro-bind-fd', String(childDescriptors.mounts + index), path]),
  ...(view.socketDir === undefined ? [] : ['--ro-bind', view.socketDir, socketDirInside]),
  // Not its folder: that may be somebody's home.
  '--ro-bind',
  view.program,
  view.program,
  ...(view.home === undefined ? [] : ['--bind', view.home, view.home]),
  '--bind-fd',
  String(childDescriptors.folder),
  view.workspace,
  // What is left of the root is a file system in memory: nobody needs to write there.
  '--remount-ro',
  '/',
  '--chdir',
  view.workspace,
  '--json-status-fd',
  String(childDescriptors.status),
  '--',
]
