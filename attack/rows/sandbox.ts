import { spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { processesWith } from '../../bench/lib/process-figures.ts'
import { until } from '@aicm/testing/until'
import { openCanary } from '../lib/canary.ts'
import { openInside } from '../lib/inside.ts'
import { onTerminal } from '../lib/on-terminal.ts'
import type { Attack, Row, Try } from '../lib/row.ts'

const levels = ['process', 'sandbox', 'sealed'] as const
type Level = (typeof levels)[number]

/** Who promises that it comes to nothing, weakest first. `uid`: `process` on a server that gives each user one. */
const promises = ['process', 'uid', 'sandbox', 'sealed'] as const

type Way = {
  name: string
  /** It is reached when this succeeds. */
  command: string
  /** The weakest that promises that it is not. */
  promised: (typeof promises)[number]
  /** Below that it is reached for certain: else the command might be what fails, not the way. */
  open?: boolean
}

const canarySecret = 'canary-of-the-server-41b7'
/** Of every program that the commands need, because a command that is not there reaches nothing either. */
const programs = 'for p in bash curl perl unshare timeout; do command -v $p || exit 1; done; echo there'
/** TIOCSTI: types on whatever terminal can be found. */
const typing = `perl -e 'my $key = "#"; for my $path (@ARGV) { open(my $tty, "+<", $path) or next; ioctl($tty, 0x5412, $key) and exit 0 } exit 1'`
const terminals = '/dev/tty /dev/pts/* /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2'
/** A query for example.com, by hand: what the machine's own resolver is asked would leave the machine. */
const query = String.raw`\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01`
const isAnswer = 0x80

const udpPort = (socket: Socket): number => socket.address().port

/** Whether a process has one that it could type on. One that has ended meanwhile has none. */
const hasTerminal = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[4] !== '0'
  } catch {
    return false
  }
}

/** Whether a program may type on a terminal of its own: where the kernel lets nobody, the attempts inside show nothing. */
const typesOnItsOwn = (): boolean => {
  const [script, ...args] = onTerminal(['sh', '-c', `${typing} /dev/tty`])
  return spawnSync(script, args, { stdio: ['pipe', 'ignore', 'ignore'], timeout: 20_000 }).status === 0
}

const run = async (attack: Attack, attempt: Try, level: Level): Promise<void> => {
  await using opened = new AsyncDisposableStack()
  // As an operator has it who starts it by hand: what sessions inherit of a terminal they could type on.
  const life = { env: { AICM_CANARY: canarySecret }, around: onTerminal }
  const target = opened.use(await attack.own({ flags: ['--isolation', level], life }))
  const { alice, bob, dataDir } = target
  const { port } = new URL(target.url)
  const { isolation } = await alice.client.health()
  attempt('the level', level, isolation.level)
  const serverPid = Number(readFileSync(join(dataDir, 'server.pid'), 'utf8'))
  attempt('the server is on a terminal', 'yes', hasTerminal(serverPid) ? 'yes' : 'no')
  const forbidden = process.getuid?.() !== 0 && legacyTyping() === '0'
  attempt(
    'typing on a terminal of one’s own',
    forbidden ? 'nothing' : 'reached',
    typesOnItsOwn() ? 'reached' : 'nothing',
  )

  const canary = opened.use(await openCanary())
  const datagrams: string[] = []
  const [udp, dns] = [createSocket('udp4'), createSocket('udp4')]
  udp.on('message', (message) => datagrams.push(message.toString('latin1')))
  dns.on('message', (message, { port: from, address }) => {
    message[2] = (message[2] ?? 0) | isAnswer
    dns.send(message, from, address)
  })
  for (const socket of [udp, dns]) {
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    opened.defer(() => void socket.close())
  }
  // A socket with a name but no file: only a network namespace keeps others from it.
  const abstractName = `aicm-canary-${process.pid}`
  const abstract = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'))
  abstract.listen(`\0${abstractName}`)
  await once(abstract, 'listening')
  opened.defer(() => void abstract.close())

  const neighbour = await bob.client.workspaces.create({ name: 'neighbour' })
  const bobs = opened.use(await openInside(bob.client, neighbour.id))
  await bobs.run('echo secret-of-bob > secret.txt')
  const bobsPid = processesWith(`AICM_PROCESS=${bobs.sessionId}/`)[0] ?? -1
  const inside = await openInside(alice.client)
  attempt('the programs that are needed', 'there', /there/.exec(await inside.run(programs))?.[0] ?? 'not there')

  const any = (test: string, ...paths: string[]): string => paths.map((path) => `[ ${test} ${path} ]`).join(' || ')
  const there = (...paths: string[]): string => any('-e', ...paths)
  const http = (url: string): string => `curl -s -m 2 -o /dev/null ${url}`
  const serverFiles = ['aicm.db', 'kv', 'server.log', 'jwt.key'].map((name) => join(dataDir, name))
  const brokerFiles = ['token.key', 'control.sock', 'broker.log'].map((name) => join(dataDir, 'broker', name))
  const bobsFolders = [`workspaces/${bob.userId}`, `users/${bob.userId}`, `sessions/${bobs.sessionId}`]
  const ways: readonly Way[] = [
    { name: 'that another user has a workspace', command: there(neighbour.path), promised: 'sandbox', open: true },
    { name: "another user's file", command: `cat ${neighbour.path}/secret.txt`, promised: 'uid' },
    { name: "another user's home", command: `ls ${dataDir}/users/${bob.userId}/home`, promised: 'uid' },
    { name: "another session's /tmp", command: `ls ${dataDir}/sessions/${bobs.sessionId}/tmp`, promised: 'uid' },
    {
      name: 'the ways to them',
      command: there(...bobsFolders.map((folder) => join(dataDir, folder))),
      ...{ promised: 'sandbox', open: true },
    },
    {
      name: 'whose folders there are',
      command: `ls ${dataDir}/users ${dataDir}/workspaces | grep ${bob.userId}`,
      promised: 'uid',
    },
    { name: "that there are the server's files", command: there(...serverFiles), promised: 'sandbox', open: true },
    { name: "the server's files", command: any('-r', ...serverFiles), promised: 'uid' },
    { name: "that there are the broker's files", command: there(...brokerFiles), promised: 'sandbox', open: true },
    { name: "the broker's files", command: any('-r', ...brokerFiles), promised: 'uid' },
    {
      name: "the machine's",
      command: there('/etc/shadow', '/root/.ssh', '/home', '/var/log', '/var/run/docker.sock', '/sys/kernel'),
      ...{ promised: 'sandbox', open: true },
    },
    { name: "the server's process", command: there(`/proc/${serverPid}`), promised: 'sandbox', open: true },
    {
      name: "the server's command line",
      command: `cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q -e '--data-di[r]'`,
      ...{ promised: 'sandbox', open: true },
    },
    {
      name: "the server's environment",
      command: `cat /proc/[0-9]*/environ | grep -q ${canarySecret}`,
      promised: 'uid',
    },
    { name: "the server's view of files", command: `ls /proc/${serverPid}/root/`, promised: 'uid' },
    { name: 'a signal to the server', command: `kill -0 ${serverPid}`, promised: 'uid' },
    { name: "another user's process", command: there(`/proc/${bobsPid}`), promised: 'sandbox', open: true },
    { name: "a signal to another user's process", command: `kill -0 ${bobsPid}`, promised: 'uid' },
    { name: "another user's memory", command: `head -c 1 /proc/${bobsPid}/environ | grep -q .`, promised: 'uid' },
    { name: 'all processes', command: `[ "$(ls -d /proc/[0-9]* | wc -l)" -gt 30 ]`, promised: 'sandbox' },
    ...['127.0.0.1', 'localhost', '127.0.0.2', '127.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]'].map((host): Way => ({
      name: `the server's own port at ${host}`,
      command: http(`http://${host}:${port}/healthz`),
      ...{ promised: 'sealed', open: host === '127.0.0.1' },
    })),
    { name: 'another port of the machine', command: http(canary.url), promised: 'sealed', open: true },
    {
      name: 'UDP',
      command: `bash -c 'echo reached > /dev/udp/127.0.0.1/${udpPort(udp)}'`,
      ...{ promised: 'sealed', open: true },
    },
    {
      name: 'an answer to a DNS query',
      command: `bash -c 'exec 3<>/dev/udp/127.0.0.1/${udpPort(dns)}; printf "${query}" >&3; timeout 2 head -c 12 <&3 | grep -qa 4'`,
      ...{ promised: 'sealed', open: true },
    },
    { name: 'a network', command: `[ "$(tail -n +3 /proc/net/dev | grep -cv ' lo:')" -gt 0 ]`, promised: 'sealed' },
    {
      name: 'an abstract socket',
      command: `curl -s -m 2 -o /dev/null --abstract-unix-socket ${abstractName} http://x/`,
      ...{ promised: 'sealed', open: true },
    },
    {
      name: "the broker's control",
      command: `curl -s -m 2 -o /dev/null --unix-socket ${dataDir}/broker/control.sock http://x/status`,
      promised: 'uid',
    },
    { name: 'a nested user namespace', command: 'unshare -U true', promised: 'sealed', open: true },
    { name: 'a mount', command: 'unshare -rm mount -t tmpfs none /tmp', promised: 'sealed', open: true },
    { name: 'a mount without a namespace', command: 'mount -t tmpfs none /tmp', promised: 'uid' },
    { name: 'another root', command: 'chroot / true', promised: 'uid' },
    { name: 'a device', command: 'mknod made-device c 1 3', promised: 'uid' },
    { name: 'more rights', command: `grep -Eq '^CapEff:.*[1-9a-f]' /proc/self/status`, promised: 'uid' },
    { name: 'setuid programs', command: `su -c true </dev/null || sudo -n true`, promised: 'sandbox' },
    { name: 'new privileges', command: `grep -q 'NoNewPrivs:.0' /proc/self/status`, promised: 'sandbox' },
    { name: 'writing to the system', command: 'touch /usr/x || touch /etc/x || touch /x', promised: 'uid' },
    { name: 'writing outside by a link', command: `ln -sf /usr/made-by-link l && echo x > l`, promised: 'uid' },
    { name: 'writing outside by a hard link', command: `ln -f /etc/passwd hard && echo x >> hard`, promised: 'uid' },
    { name: 'writing outside by a rename', command: `echo x > r && mv r /usr/made-by-rename`, promised: 'uid' },
    {
      name: 'an inherited descriptor of the server',
      command: `ls -l /proc/[0-9]*/fd | grep -Eq 'aicm.db|/kv/|server.log|jwt.key|control.sock'`,
      promised: 'uid',
    },
    { name: 'a terminal', command: `test -t 0 || echo > /dev/tty`, promised: 'process' },
    { name: 'typing on a terminal', command: `${typing} ${terminals}`, promised: 'process' },
    { name: 'the kernel log', command: 'dmesg | grep -q .', promised: 'sealed' },
    // Looked at only: what is in the first of them is run outside, and the last one restarts the machine.
    {
      name: 'kernel settings',
      command: '[ -w /proc/sys/kernel/core_pattern ] || [ -w /proc/sys/kernel/modprobe ]',
      promised: 'uid',
    },
    { name: 'orders to the kernel', command: '[ -w /proc/sysrq-trigger ]', promised: 'uid' },
    { name: 'other memory', command: 'cat /dev/mem | head -c 1 | grep -q .', promised: 'uid' },
  ]
  const has = level === 'process' && isolation.uidPerUser ? 'uid' : level
  const keeps = ({ promised }: Way): boolean => promises.indexOf(promised) <= promises.indexOf(has)

  const script = ways
    .map(
      ({ command }, at) =>
        `if { ${command}; } >/dev/null 2>&1; then echo "way ${at} reached"; else echo "way ${at} nothing"; fi`,
    )
    .join('\n')
  const said = await inside.run(script)
  for (const [at, way] of ways.entries()) {
    if (!keeps(way) && way.open !== true) continue
    // What a datagram reaches shows at its other end only.
    const seen =
      way.name === 'UDP'
        ? datagrams.length > 0
          ? 'reached'
          : 'nothing'
        : new RegExp(`way ${at} (\\w+)`).exec(said)?.[1]
    attempt(way.name, keeps(way) ? 'nothing' : 'reached', seen ?? 'not tried')
  }
  // Its tools have sessions of their own, what claude runs otherwise has its.
  const processes = processesWith(`AICM_PROCESS=${inside.sessionId}/`)
  const onTerminals = processes.length === 0 ? 'no processes' : `${processes.filter(hasTerminal).length}`
  attempt('processes of the session that are on a terminal', '0', onTerminals)
  attempt('what listeners of the machine heard', level === 'sealed' ? '0' : '1', `${canary.heard.length}`)

  await inside.run(`AICM_DAEMON=${canarySecret} setsid sh -c 'sleep 300 & sleep 300' >/dev/null 2>&1 & sleep 0.2`)
  await inside[Symbol.asyncDispose]()
  const left = () => processesWith(`AICM_DAEMON=${canarySecret}`).length
  await until('the daemons are gone', () => left() === 0, { timeoutMs: 10_000 }).catch(() => undefined)
  attempt('daemons left when the session is gone', '0', `${left()}`)
}

/** `0`: only who may administer the machine may type on a terminal by program. */
const legacyTyping = (): string => {
  try {
    return readFileSync('/proc/sys/dev/tty/legacy_tiocsti', 'utf8').trim()
  } catch {
    return '1'
  }
}

/** One for each level, with what this level promises. */
export const insideRows: readonly Row[] = levels.toReversed().map((level) => ({
  name: level,
  title: `inside ${level}: other users' files, server secrets, /proc, own port, ways out, sockets, signals, terminals, descriptors, namespaces`,
  expected: level === 'sealed' ? 'nothing' : 'nothing of what the level promises; what it does not is reached',
  run: (attack, attempt) => run(attack, attempt, level),
}))
