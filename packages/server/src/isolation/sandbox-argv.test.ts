import { existsSync, realpathSync } from 'node:fs'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { requires } from '@aicm/testing/requires'
import { outputLines, shellProcess } from '@aicm/testing/shell-process'
import { tempDir } from '@aicm/testing/temp-dir'
import { systemPath } from '../lib/system-path.ts'
import { defaultResourceLimits } from '../config/resource-limits.ts'
import { run } from '../process/run.ts'
import { writeAccounts } from './accounts.ts'
import { confine } from './confine.ts'

/** What a script says at level sandbox, with `$DIR` as the folder that holds its workspace and what it must not see. */
const insideSandbox = async (script: string, prepare?: (dir: string) => Promise<void>): Promise<string[]> => {
  // The folder has a name only once it is there: the script learns it from its own.
  await using child = await shellProcess(`DIR=\${PWD%/workspace}; until [ -e start ]; do sleep 0.01; done; ${script}`, {
    sandbox: true,
  })
  await prepare?.(child.dir)
  await writeFile(join(child.dir, 'workspace/start'), '')
  return (await Array.fromAsync(outputLines(child.process))).map(({ text }) => text)
}

requires('bwrap')(
  'other users, the data folder, the host’s /tmp and the server itself do not exist inside',
  async () => {
    await using outside = await tempDir()
    const canary = join(outside.path, 'canary')
    const seen = await insideSandbox(
      `for path in "$DIR/users/other/home" "$DIR/aicm.db" "$DIR/1" ${canary} /root /home /var /proc/${process.pid} /etc/shadow /sys; do
      [ -e "$path" ] && echo "$path"
    done; ls /tmp | wc -l`,
      async (dir) => {
        await writeFile(canary, 'secret')
        await writeFile(join(dir, 'aicm.db'), 'secret')
        await mkdir(join(dir, 'users/other/home'), { recursive: true })
      },
    )
    // Of /tmp there is only the way to the folders that are its own.
    expect(seen).toEqual(['1'])
  },
)

requires('bwrap')(
  'a program that works for the server sees the workspace, and nothing else of the user’s',
  async () => {
    await using dir = await tempDir()
    const [workspace, accountsDir] = [join(dir.path, 'workspace'), join(dir.path, 'accounts')]
    await mkdir(workspace)
    await mkdir(join(dir.path, 'home'))
    await writeAccounts(accountsDir)
    const confined = confine({
      walls: { level: 'sealed', owner: undefined, limits: { memory: null, ...defaultResourceLimits } },
      view: { workspace, program: '/bin/sh', accountsDir, readOnly: [] },
      ...{ exact: false, endsWithServer: true },
      command: ['sh', '-c', `ls -d ${dir.path}/* /run/* /home/* /tmp/*; touch made; touch /tmp/made && rm /tmp/made`],
    })
    const { stdout } = await run(confined.argv, { ...confined, env: { PATH: systemPath }, timeoutMs: 10_000 })
    // Of /tmp there is only the way to it.
    expect(stdout.split('\n')).toEqual([dir.path, workspace, ''])
    expect(existsSync(join(workspace, 'made'))).toBe(true)
  },
)

requires('bwrap')(
  'its own workspace, home and /tmp are writable, the system and the broker’s folder are not',
  async () => {
    let dir = ''
    const seen = await insideSandbox(
      `for path in . "$DIR/home" /tmp / /usr /etc /run /run/aicm; do
       (echo made >"$path/file") 2>/dev/null && echo "$path"
     done; cat workspace-file; cat file`,
      async (path) => {
        dir = path
        await writeFile(join(path, 'workspace/workspace-file'), 'from outside\n')
      },
    )
    expect(seen).toEqual(['.', `${dir}/home`, '/tmp', 'from outside', 'made'])
  },
)

requires('bwrap')('it sees only its own processes, has no capabilities and no way to more', async () => {
  const seen = await insideSandbox(`
    ls -d /proc/[0-9]* | wc -l
    grep -c '^Cap[EPB].*:.*0000000000000000$' /proc/self/status
    grep NoNewPrivs /proc/self/status
    hostname
    mount -t tmpfs none /usr 2>/dev/null && echo mounted
    kill -0 ${process.pid} 2>/dev/null && echo reached`)
  expect(Number(seen[0])).toBeLessThan(10)
  expect(seen.slice(1)).toEqual(['3', 'NoNewPrivs:\t1', 'aicm'])
})

requires('bwrap')(
  'the kernel takes no orders from inside, from root neither, and not from a namespace inside',
  async () => {
    const orders =
      'for path in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger; do test -w $path && echo $path; done'
    expect(
      await insideSandbox(`${orders}; unshare -Urpf --mount-proc sh -c '${orders}' 2>/dev/null; echo tried`),
    ).toEqual(['tried'])
  },
)

requires('bwrap')('the time zone has the name that it has outside', async () => {
  const zone = existsSync('/etc/localtime') ? realpathSync('/etc/localtime') : 'none'
  const inside = zone.startsWith('/usr/') ? zone : '/etc/localtime'
  expect(await insideSandbox('readlink -f /etc/localtime || echo none')).toEqual([zone === 'none' ? 'none' : inside])
})

requires('bwrap')(
  'what it is shown is what was looked at, whatever is put in its place before it is mounted',
  async () => {
    await using dir = await tempDir()
    const at = (name: string): string => join(dir.path, name)
    await Promise.all(['workspace', 'folder', 'secret'].map((name) => mkdir(at(name))))
    await writeAccounts(at('accounts'))
    await writeFile(at('folder/file'), 'shown\n')
    await writeFile(at('file'), 'shown too\n')
    await writeFile(at('secret/file'), 'secret\n')
    const mounts = [at('folder'), at('file')]
    const script = `cat ${mounts[0]}/file ${mounts[1]}; touch ${mounts[0]}/made ${mounts[1]} 2>&1; ls -l /proc/self/fd`
    const confined = confine({
      walls: { level: 'sandbox', owner: undefined, limits: { memory: null, ...defaultResourceLimits } },
      view: { workspace: at('workspace'), program: '/bin/sh', accountsDir: at('accounts'), readOnly: [], mounts },
      ...{ exact: false, command: ['sh', '-c', script] },
    })
    const runIt = (before: string) =>
      run(['sh', '-c', `cd ${dir.path} && ${before} && exec "$@"`, 'sh', ...confined.argv], {
        ...confined,
        ...{ env: { PATH: systemPath }, timeoutMs: 10_000 },
      })
    const swap = 'mv folder moved && ln -s secret folder && mv file moved-file && ln -s secret/file file'
    const { stdout, stderr } = await runIt(swap)
    expect(stdout, stderr).toMatch(/^shown\nshown too\n(?:.*Read-only file system\n){2}total/)
    // Its outputs, and the folder that it lists.
    expect([...stdout.matchAll(/ (\d+) -> (?!\/dev\/null)/g)].map(([, fd]) => Number(fd))).toEqual([1, 2, 3])
    await expect(async () => runIt('true')).rejects.toThrow('is not what it was: it leads to')
  },
)

requires('bwrap')('of the program’s folder it sees the program alone', async () => {
  await using dir = await tempDir()
  const at = (name: string): string => join(dir.path, name)
  const view = {
    ...{ workspace: at('workspace'), home: at('home'), tmp: at('tmp'), socketDir: at('broker') },
    ...{ program: at('bin/program'), accountsDir: at('accounts'), readOnly: [at('extra')] },
  }
  await Promise.all(['workspace', 'home', 'tmp', 'broker', 'bin', 'extra'].map((name) => mkdir(at(name))))
  await writeAccounts(view.accountsDir)
  await copyFile('/bin/sh', view.program)
  await writeFile(at('bin/secret'), 'secret')
  await writeFile(at('extra/tool'), 'tool')
  const script = `ls ${at('bin')}; echo x >>${view.program}; test -e ${at('bin/secret')} && echo seen; cat ${at('extra/tool')}; echo; echo x >${at('extra/tool')}`
  const confined = confine({
    walls: { level: 'sandbox', owner: undefined, limits: { memory: null, ...defaultResourceLimits } },
    ...{ view, exact: false, command: [view.program, '-c', script] },
  })
  const { stdout } = await run(confined.argv, { ...confined, env: { PATH: systemPath }, timeoutMs: 10_000 })
  expect(stdout.split('\n')).toEqual(['program', 'tool', ''])
  expect(await readFile(view.program)).toEqual(await readFile('/bin/sh'))
})
