import { AppError } from '../lib/app-error.ts'
import { systemPath } from '../lib/system-path.ts'
import { run } from '../process/run.ts'

const timeoutMs = 15 * 60 * 1000

/**
 * `scheme://…` of a network protocol, or `user@host:path`. Nothing local, nothing that starts a program (`ext::`), and no
 * host that ssh could take for a flag.
 */
const url =
  /^(?:(?:https?|ssh|git):\/\/(?:[^\s@/-][^\s@/]*@)?[^\s@/-][^\s@/]*(?:\/\S*)?|[A-Za-z0-9._-]+@[A-Za-z0-9][A-Za-z0-9.-]*:[^\s-]\S*)$/

export const checkGitUrl = (gitUrl: string): void => {
  if (gitUrl.startsWith('-') || !url.test(gitUrl) || /[\p{Cc}]/u.test(gitUrl))
    throw new AppError('invalid_request', 'gitUrl must be a http, https, ssh or git URL, or user@host:path.')
  if (/^https?:\/\/[^/]*:[^/]*@/.test(gitUrl))
    throw new AppError('invalid_request', 'gitUrl must not hold a password: it would be stored and shown.')
}

/**
 * Clones into an existing, empty folder. Resolves with undefined, or with why it failed. Nothing of the repository is run:
 * no hooks, no submodules, no local protocols, no prompts, no configuration of the machine's.
 */
export const cloneRepository = async (options: {
  url: string
  branch: string | undefined
  into: string
}): Promise<string | undefined> => {
  const result = await run(
    [
      'git',
      '-c',
      'core.hooksPath=/dev/null',
      '-c',
      'core.fsmonitor=false',
      '-c',
      'core.symlinks=true',
      'clone',
      '--no-recurse-submodules',
      '--quiet',
      ...(options.branch === undefined ? [] : [`--branch=${options.branch}`]),
      '--',
      options.url,
      '.',
    ],
    {
      cwd: options.into,
      timeoutMs,
      env: {
        PATH: systemPath,
        HOME: '/nonexistent',
        LANG: 'C.UTF-8',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_TERMINAL_PROMPT: '0',
        GIT_ASKPASS: 'false',
        GIT_ALLOW_PROTOCOL: 'http:https:ssh:git',
        GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new',
      },
    },
  ).catch((error: unknown) => ({
    code: null,
    signal: null,
    stdout: '',
    stderr: error instanceof Error ? error.message : String(error),
  }))
  if (result.code === 0) return undefined
  return result.signal === null
    ? `git clone failed: ${result.stderr.trim().slice(0, 1000)}`
    : `git clone took more than ${timeoutMs / 60_000} minutes.`
}
