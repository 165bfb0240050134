import type { CompleteMessage } from '@aicm/protocol'
import { CircleSlash, CornerDownRight, LoaderCircle, TriangleAlert } from 'lucide-react'
import { memo } from 'react'
import { CopyButton } from '../ui/copy-button.tsx'
import { formatCost, formatCount, formatDuration } from '../ui/format.ts'
import { Entries } from './entries.tsx'
import { PromptBubble } from './prompt-bubble.tsx'
import { entriesOf, sameTurn, type Entry, type Turn } from './turns.ts'

/** A prompt and what came of it. While another turn streams, this one is not drawn again. */
export const TurnView = memo(
  ({ turn }: { turn: Turn }) => {
    const entries = entriesOf(turn)
    return (
      <article
        aria-label={turn.prompt === undefined ? 'Between prompts' : 'Turn'}
        className="turn grid grid-cols-1 gap-4"
      >
        {turn.prompt !== undefined && (
          <PromptBubble
            content={turn.prompt.message.content}
            note={
              turn.state === 'queued' && (
                <p className="flex items-center gap-1 text-[0.8125rem] text-muted">
                  <CornerDownRight aria-hidden className="size-3.5" /> Queued
                </p>
              )
            }
          />
        )}
        {entries.length > 0 && <Entries entries={entries} />}
        {turn.state === 'running' && <Working entries={entries} />}
        {turn.complete !== undefined && <Footer complete={turn.complete.message} entries={entries} />}
      </article>
    )
  },
  (before, after) => sameTurn(before.turn, after.turn),
)

/** There is always something that moves while a turn runs, in one place, so that nothing jumps. */
const Working = ({ entries }: { entries: Entry[] }) => {
  const last = entries.at(-1)
  const waiting = entries.some((entry) => entry.kind === 'tool' && entry.state === 'waiting')
  return (
    <p className="flex h-6 items-center gap-2 text-[0.8125rem] text-muted">
      <LoaderCircle aria-hidden className="spin size-3.5" />
      {waiting
        ? 'Waiting for your approval'
        : last?.kind === 'text'
          ? 'Writing'
          : last?.kind === 'tool'
            ? 'Using a tool'
            : 'Working'}
    </p>
  )
}

const answerOf = (entries: Entry[]): string =>
  entries.flatMap((entry) => (entry.kind === 'text' ? [entry.text] : [])).join('\n\n')

const Footer = ({ complete, entries }: { complete: CompleteMessage; entries: Entry[] }) => {
  const { result, reason, text, usage, costUsd, durationMs } = complete
  const answer = answerOf(entries)
  // The failure in words, unless it already stands above.
  const failure = result === 'error' && text !== undefined && !tellsAlready(entries, text) ? text : undefined
  const facts = [
    ...(durationMs === undefined ? [] : [formatDuration(durationMs)]),
    ...(usage === undefined || usage.inputTokens + usage.outputTokens === 0
      ? []
      : [
          `${formatCount(usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens)} tokens in`,
          `${formatCount(usage.outputTokens)} out`,
        ]),
    ...(costUsd === undefined || costUsd === 0 ? [] : [formatCost(costUsd)]),
  ]
  return (
    <footer className="grid grid-cols-1 gap-2">
      {failure !== undefined && (
        <p className="rounded-lg border border-danger/30 bg-danger-tint px-3 py-2 text-sm wrap-anywhere">{failure}</p>
      )}
      <div className="flex min-h-8 flex-wrap items-center gap-x-2 text-[0.8125rem] text-muted tabular-nums">
        {result === 'interrupted' && (
          <span className="inline-flex items-center gap-1">
            <CircleSlash aria-hidden className="size-3.5" /> Interrupted
          </span>
        )}
        {result === 'error' && (
          <span className="inline-flex items-center gap-1 text-danger">
            <TriangleAlert aria-hidden className="size-3.5" /> Failed: {reason.replaceAll('_', ' ')}
          </span>
        )}
        <span>{facts.join(' · ')}</span>
        {answer !== '' && <CopyButton text={() => answer} label="Copy the answer" />}
      </div>
    </footer>
  )
}

/** A failure that is an entry of its own, or the answer's own words, is not said twice. */
const tellsAlready = (entries: Entry[], text: string): boolean =>
  entries.some((entry) => entry.kind === 'error' || (entry.kind === 'text' && entry.text.includes(text)))
