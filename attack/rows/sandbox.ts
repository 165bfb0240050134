import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { processesWith } from '../../bench/lib/process-figures.ts'
import { until } from '@aicm/testing/until'
import { openCanary } from '../lib/canary.ts'
import { openInside } from '../lib/inside.ts'
import type { Row } from '../lib/row.ts'

const canarySecret = 'canary-of-the-server-41b7'

export const sandbox: Row = {
  name: 'sandbox',
  title:
    "inside the sandbox: other users' files, server secrets, /proc, own port, ways out, sockets, signals, descriptors, namespaces",
  expected: 'nothing, at the level that promises it',
  run: async (attack, attempt) => {
    await using target = await attack.own({ life: { env: { AICM_CANARY: canarySecret } } })
    const { alice, bob, dataDir, server } = target
    const { port } = new URL(target.url)
    const { level } = (await alice.client.health()).isolation
    attempt('the level', 'sealed', level)

    await using canary = await openCanary()
    const datagrams: string[] = []
    const udp = createSocket('udp4')
    udp.on('message', (message) => datagrams.push(message.toString('latin1')))
    udp.bind(0, '127.0.0.1')
    await once(udp, 'listening')
    // A socket with a name but no file: only a network namespace keeps others from it.
    const abstractName = `aicm-canary-${process.pid}`
    const abstract = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'))
    abstract.listen(`\0${abstractName}`)
    await once(abstract, 'listening')

    const neighbour = await bob.client.workspaces.create({ name: 'neighbour' })
    await using bobs = await openInside(bob.client, neighbour.id)
    await bobs.run('echo secret-of-bob > secret.txt')
    const inside = await openInside(alice.client)

    const pid = server.pid()
    const there = (...paths: string[]): string => paths.map((path) => `[ -e ${path} ]`).join(' || ')
    const http = (url: string): string => `curl -s -m 2 -o /dev/null ${url}`
    // Each is reached when its command succeeds.
    const ways: [string, string][] = [
      ["another user's workspace", there(neighbour.path)],
      ["another user's home", there(`${dataDir}/users/${bob.userId}`)],
      ["another session's folder", there(`${dataDir}/sessions/${bobs.sessionId}`)],
      ["the server's files", there(...['aicm.db', 'kv', 'server.log', 'jwt.key'].map((name) => `${dataDir}/${name}`))],
      [
        "the broker's files",
        there(...['token.key', 'control.sock', 'broker.log'].map((name) => `${dataDir}/broker/${name}`)),
      ],
      ["the machine's", there('/etc/shadow', '/root/.ssh', '/home', '/var/log', '/var/run/docker.sock', '/sys/kernel')],
      ["the server's process", there(`/proc/${pid}`)],
      ["the server's command line", `cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q -e '--data-di[r]'`],
      ["the server's environment", `cat /proc/[0-9]*/environ | grep -q ${canarySecret}`],
      ['a signal to the server', `kill -0 ${pid}`],
      ['a signal to all', `[ "$(ls -d /proc/[0-9]* | wc -l)" -gt 30 ]`],
      ...['127.0.0.1', 'localhost', '127.0.0.2', '127.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]'].map(
        (host): [string, string] => [`the server's own port at ${host}`, http(`http://${host}:${port}/healthz`)],
      ),
      ['another port of the machine', http(canary.url)],
      ['UDP', `bash -c 'echo reached > /dev/udp/127.0.0.1/${udp.address().port}'`],
      ['a way out (metadata address, DNS)', `[ "$(tail -n +3 /proc/net/dev | grep -cv ' lo:')" -gt 0 ]`],
      ['an abstract socket', `curl -s -m 2 -o /dev/null --abstract-unix-socket ${abstractName} http://x/`],
      [
        "the broker's control",
        `curl -s -m 2 -o /dev/null --unix-socket ${dataDir}/broker/control.sock http://x/status`,
      ],
      ['a nested user namespace', 'unshare -U true'],
      ['a mount', 'unshare -rm mount -t tmpfs none /mnt'],
      ['a mount without a namespace', 'mount -t tmpfs none /mnt'],
      ['another root', 'chroot / true'],
      ['a device', 'mknod made-device c 1 3'],
      ['more rights', `grep -Eq '^CapEff:.*[1-9a-f]' /proc/self/status`],
      ['setuid programs', `su -c true </dev/null || sudo -n true`],
      ['new privileges', `grep -q 'NoNewPrivs:.0' /proc/self/status`],
      ['writing to the system', 'touch /usr/x || touch /etc/x || touch /x'],
      ['writing outside by a link', `ln -sf /usr/made-by-link l && echo x > l`],
      ['writing outside by a hard link', `ln -f /etc/passwd hard && echo x >> hard`],
      ['writing outside by a rename', `echo x > r && mv r /usr/made-by-rename`],
      [
        'an inherited descriptor of the server',
        `ls -l /proc/[0-9]*/fd | grep -Eq 'aicm.db|/kv/|server.log|jwt.key|control.sock'`,
      ],
      ['a terminal', `test -t 0 || echo > /dev/tty`],
      ['the kernel log', 'dmesg | grep -q .'],
      // Looked at only: what is in the first of them is run outside, and the last one restarts the machine.
      ['kernel settings', '[ -w /proc/sys/kernel/core_pattern ] || [ -w /proc/sys/kernel/modprobe ]'],
      ['orders to the kernel', '[ -w /proc/sysrq-trigger ]'],
      ['other memory', 'cat /dev/mem | head -c 1 | grep -q . || test -e /dev/kmsg'],
    ]
    const script = ways
      .map(
        ([, command], at) =>
          `if { ${command}; } >/dev/null 2>&1; then echo "way ${at} reached"; else echo "way ${at} nothing"; fi`,
      )
      .join('\n')
    const said = await inside.run(script)
    for (const [at, [name]] of ways.entries()) {
      // What a datagram reaches shows at its other end only.
      const seen =
        name === 'UDP' ? (datagrams.length > 0 ? 'reached' : 'nothing') : new RegExp(`way ${at} (\\w+)`).exec(said)?.[1]
      attempt(name, 'nothing', seen ?? 'not tried')
    }
    attempt('what listeners of the machine heard', '0', `${canary.heard.length}`)

    await inside.run(`AICM_DAEMON=${canarySecret} setsid sh -c 'sleep 300 & sleep 300' >/dev/null 2>&1 & sleep 0.2`)
    await inside[Symbol.asyncDispose]()
    const left = () => processesWith(`AICM_DAEMON=${canarySecret}`).length
    await until('the daemons are gone', () => left() === 0, { timeoutMs: 10_000 }).catch(() => undefined)
    attempt('daemons left when the session is gone', '0', `${left()}`)
    abstract.close()
    udp.close()
  },
}
