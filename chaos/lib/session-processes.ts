import { findProcesses, kill, type ProcessInfo } from '@aicm/testing/processes'
import { until } from '@aicm/testing/until'

/** `outer` and `inner` are the sandbox's two; without a sandbox there is a shell outside, and nothing between. */
export type Part = 'claude' | 'outer' | 'inner'

const isClaude = ({ argv }: ProcessInfo): boolean =>
  argv[0]?.endsWith('/claude') === true || argv[1]?.endsWith('/claude.mjs') === true

/** When, and all that belonged to it then. */
export type Killed = { at: number; pids: number[] }

const find = (sessionId: string, part: Part): { victim: number | undefined; pids: number[] } => {
  const all = findProcesses(({ environment }) =>
    environment.some((variable) => variable.startsWith(`AICM_PROCESS=${sessionId}/`)),
  )
  const pids = new Set(all.map(({ pid }) => pid))
  const outer = all.find(({ parent }) => !pids.has(parent))
  const parts = {
    outer: () => outer,
    inner: () => all.find(({ parent, argv }) => parent === outer?.pid && argv[0] === 'bwrap'),
    claude: () => all.find(isClaude),
  }
  return { victim: parts[part]()?.pid, pids: [...pids] }
}

/** Kills a part of a session's process, as soon as there is one. Undefined when `over` became true before. */
export const killPart = async (
  sessionId: string,
  part: Part,
  over: () => boolean = () => false,
): Promise<Killed | undefined> => {
  let killed: Killed | undefined
  await until(`${part} of ${sessionId} runs`, () => {
    const { victim, pids } = find(sessionId, part)
    const at = performance.now()
    if (victim !== undefined && kill(victim, 'SIGKILL')) killed = { at, pids }
    return killed !== undefined || over()
  })
  return killed
}
