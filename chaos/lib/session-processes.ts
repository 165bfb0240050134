import { findProcesses, kill, type ProcessInfo } from '@aicm/testing/processes'
import { until } from '@aicm/testing/until'

/** `outer` and `inner` are the sandbox's two; without a sandbox there is a shell outside, and nothing between. */
export type Part = 'claude' | 'outer' | 'inner'

const isClaude = ({ argv }: ProcessInfo): boolean =>
  argv[0]?.endsWith('/claude') === true || argv[1]?.endsWith('/claude.mjs') === true

/** When, which of the session's processes, and all that belonged to it then. */
export type Killed = { at: number; generation: string; pids: number[] }

const find = (sessionId: string, part: Part): { victim: number | undefined } & Omit<Killed, 'at'> => {
  const marker = `AICM_PROCESS=${sessionId}/`
  const markerOf = ({ environment }: ProcessInfo): string | undefined =>
    environment.find((variable) => variable.startsWith(marker))
  const all = findProcesses((info) => markerOf(info) !== undefined)
  const pids = new Set(all.map(({ pid }) => pid))
  const outer = all.find(({ parent }) => !pids.has(parent))
  const parts = {
    outer: () => outer,
    inner: () => all.find(({ parent, argv }) => parent === outer?.pid && argv[0] === 'bwrap'),
    claude: () => all.find(isClaude),
  }
  const victim = parts[part]()
  const generation = (victim && markerOf(victim)?.slice(marker.length)) ?? ''
  // One that is dying may still be there beside the next.
  const tree = all.filter((info) => markerOf(info) === marker + generation)
  return { victim: victim?.pid, generation, pids: tree.map(({ pid }) => pid) }
}

/** Kills a part of a session's process, as soon as there is one. Undefined when `over` became true before. */
export const killPart = async (
  sessionId: string,
  part: Part,
  over: () => boolean = () => false,
): Promise<Killed | undefined> => {
  let killed: Killed | undefined
  await until(`${part} of ${sessionId} runs`, () => {
    const { victim, ...found } = find(sessionId, part)
    const at = performance.now()
    if (victim !== undefined && kill(victim, 'SIGKILL')) killed = { at, ...found }
    return killed !== undefined || over()
  })
  return killed
}
