import type { BlockDelta, AgentOutput } from '../claude/output.ts'
import { createDecoder } from '../claude/decode.ts'
import type { SessionProcess } from '../process/session-process.ts'

/** What one read of the journal holds, in order, and the byte offset behind it. */
export type Ingested = {
  generation: number
  parts: Part[]
  offset: number
  /** Reading may start again at `offset` without missing a growing block. */
  quiet: boolean
}

/** `seen`: this was stored before the server was restarted; only growing blocks are rebuilt from it. */
export type Part = { seen: boolean } & (
  | { kind: 'delta'; delta: BlockDelta }
  | { kind: 'output'; output: Exclude<AgentOutput, { kind: 'delta' }> }
)

/** Neighbouring deltas of a block are one, here already: everything after this costs by the part. `last` is ours to change. */
const grow = (last: Part | undefined, next: Part): boolean => {
  if (last?.kind !== 'delta' || next.kind !== 'delta') return false
  const { delta } = last
  if (delta.block !== next.delta.block || last.seen !== next.seen || delta.at + delta.text.length !== next.delta.at)
    return false
  delta.text += next.delta.text
  return true
}

/**
 * Reads what a process says from its journal and hands it on, one read at a time, until the process has ended and all was
 * read. `from` is where reading starts, `storedTo` up to where the log has everything already.
 */
export const ingest = async (options: {
  process: SessionProcess
  generation: number
  from: number
  storedTo: number
  onCaughtUp?: () => void
  deliver: (ingested: Ingested) => Promise<void>
}): Promise<void> => {
  const { generation, storedTo } = options
  const decoder = createDecoder({ generation })
  const partOf = (output: AgentOutput, seen: boolean): Part =>
    output.kind === 'delta' ? { kind: 'delta', delta: output.delta, seen } : { kind: 'output', output, seen }

  let offset = options.from
  /** While one read is being stored the next is decoded already. */
  let delivered: Promise<void> = Promise.resolve()
  const caughtUp = options.onCaughtUp && ((): void => void delivered.then(options.onCaughtUp, () => undefined))
  for await (const lines of options.process.output(options.from, caughtUp)) {
    const parts: Part[] = []
    for (const line of lines) {
      const seen = line.end <= storedTo
      const last = parts.at(-1)
      const growing = last?.kind === 'delta' && last.seen === seen ? last.delta : undefined
      for (const output of decoder.decode(line, growing)) {
        const part = partOf(output, seen)
        if (!grow(parts.at(-1), part)) parts.push(part)
      }
    }
    offset = lines.at(-1)?.end ?? offset
    const quiet = decoder.quiet()
    await delivered
    delivered = options.deliver({ generation, parts, offset, quiet })
    // Awaited above or below: until then a refusal is nobody's.
    delivered.catch(() => undefined)
  }
  await delivered
  // The end counts as a byte of its own: once what it cut off is stored, it is not cut off again.
  const end = offset + 1
  const rest = decoder.end().map((output) => partOf(output, end <= storedTo))
  if (rest.length > 0) await options.deliver({ generation, parts: rest, offset: end, quiet: true })
}
