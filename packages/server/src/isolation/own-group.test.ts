import { expect, test } from 'vitest'
import { ownGroup } from './own-group.ts'

const mount = (type: 'cgroup' | 'cgroup2', path: string, options: string, root = '/'): string =>
  `31 23 0:28 ${root} ${path} rw,nosuid shared:9 - ${type} ${type} rw,${options}`

test('in version 2 one folder has everything', () => {
  const folder = '/sys/fs/cgroup/system.slice/aicm.service'
  expect(
    ownGroup({
      cgroup: '0::/system.slice/aicm.service\n',
      mountinfo: `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n${mount('cgroup2', '/sys/fs/cgroup', 'nsdelegate')}\n`,
    }),
  ).toEqual({ version: 2, folders: { memory: folder, cpu: folder, cpuacct: folder, pids: folder, kill: folder } })
})

test('a server that has made way for its sessions finds the group around its own', () => {
  const found = ownGroup({
    cgroup: '0::/user.slice/aicm.scope/aicm-server\n',
    mountinfo: mount('cgroup2', '/sys/fs/cgroup', 'nsdelegate'),
  })
  expect(found?.folders.memory).toBe('/sys/fs/cgroup/user.slice/aicm.scope')
})

test('in version 1 each controller has its hierarchy, two may share one, and version 2 beside them ends processes', () => {
  expect(
    ownGroup({
      cgroup: '4:memory:/a b/c\n2:cpu,cpuacct:/c\n1:name=systemd:/x\n0::/u\n',
      mountinfo: [
        mount('cgroup', '/sys/fs/cgroup/with\\040space', 'memory'),
        mount('cgroup', '/sys/fs/cgroup/cpu,cpuacct', 'cpu,cpuacct'),
        mount('cgroup', '/sys/fs/cgroup/pids', 'pids'),
        mount('cgroup2', '/sys/fs/cgroup/unified', 'nsdelegate'),
      ].join('\n'),
    }),
  ).toEqual({
    version: 1,
    folders: {
      memory: '/sys/fs/cgroup/with space/a b/c',
      cpu: '/sys/fs/cgroup/cpu,cpuacct/c',
      cpuacct: '/sys/fs/cgroup/cpu,cpuacct/c',
      kill: '/sys/fs/cgroup/unified/u',
    },
  })
})

test('in version 1 with pids nothing of version 2 is entered: that would cost more than all the rest', () => {
  expect(
    ownGroup({
      cgroup: '3:pids:/p\n0::/u\n',
      mountinfo: [mount('cgroup', '/cg/pids', 'pids'), mount('cgroup2', '/cg/unified', 'rw')].join('\n'),
    }),
  ).toEqual({ version: 1, folders: { pids: '/cg/pids/p' } })
})

test('in a container the mount shows its own part of the hierarchy, and what it does not show is not there', () => {
  const inContainer = (path: string) =>
    ownGroup({ cgroup: `4:memory:${path}\n`, mountinfo: mount('cgroup', '/cg', 'memory', '/docker/1234') })
  expect(inContainer('/docker/1234')?.folders.memory).toBe('/cg')
  expect(inContainer('/docker/1234/inner')?.folders.memory).toBe('/cg/inner')
  expect(inContainer('/')?.folders.memory).toBe('/cg')
  expect(inContainer('/docker/12345')).toBeUndefined()
  expect(inContainer('/../other')).toBeUndefined()
})

test('without a mount there is none', () => {
  expect(ownGroup({ cgroup: '0::/\n', mountinfo: '22 1 8:1 / / rw - ext4 /dev/sda1 rw' })).toBeUndefined()
})
