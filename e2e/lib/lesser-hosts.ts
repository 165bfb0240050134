/** Commands that run a server as on a host that has less. What they take away is away in their own namespaces only. */

const inNamespaces = (flags: string[], prepare: string): string[] => [
  'unshare',
  ...flags,
  'sh',
  '-c',
  `${prepare} && exec "$@"`,
  'sh',
]

/** How many more namespaces of a kind may be made is a setting of each user namespace. */
const withNo = (kind: 'net' | 'user'): string[] =>
  inNamespaces(['-U', '-r', '-m'], `echo 0 >/proc/sys/user/max_${kind}_namespaces`)

const withoutBwrap = inNamespaces(
  ['-m'],
  'mount -t tmpfs none /mnt && mkdir /mnt/all /mnt/bin && mount --bind /usr/bin /mnt/all && cd /mnt/bin && ln -s /mnt/all/* . && rm bwrap && mount --bind /mnt/bin /usr/bin && cd /',
)

export const ordinaryUser = { uid: 65534, gid: 65534 }
const asOrdinaryUser = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']

export const lesserHosts = {
  withoutBwrap,
  noUserNamespaces: withNo('user'),
  noNetworkNamespaces: withNo('net'),
  asOrdinaryUser,
  asOrdinaryUserWithoutBwrap: [...withoutBwrap, ...asOrdinaryUser],
}
