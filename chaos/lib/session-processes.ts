import { findProcesses, kill, type ProcessInfo } from '@aicm/testing/processes'
import { until } from '@aicm/testing/until'

/** `outer` and `inner` are the sandbox's two; without a sandbox there is a shell outside, and nothing between. */
export type Part = 'claude' | 'outer' | 'inner'

const isClaude = ({ argv }: ProcessInfo): boolean =>
  argv[0]?.endsWith('/claude') === true || argv[1]?.endsWith('/claude.mjs') === true

const find = (sessionId: string, part: Part): number | undefined => {
  const all = findProcesses(({ environment }) =>
    environment.some((variable) => variable.startsWith(`AICM_PROCESS=${sessionId}/`)),
  )
  const pids = new Set(all.map(({ pid }) => pid))
  const outer = all.find(({ parent }) => !pids.has(parent))
  if (part === 'outer') return outer?.pid
  if (part === 'inner') return all.find(({ parent, argv }) => parent === outer?.pid && argv[0] === 'bwrap')?.pid
  return all.find(isClaude)?.pid
}

/** Kills a part of a session's process, as soon as there is one. False when `over` became true before. */
export const killPart = async (sessionId: string, part: Part, over: () => boolean = () => false): Promise<boolean> => {
  let killed = false
  await until(`${part} of ${sessionId} runs`, () => {
    const pid = find(sessionId, part)
    killed = pid !== undefined && kill(pid, 'SIGKILL')
    return killed || over()
  })
  return killed
}
