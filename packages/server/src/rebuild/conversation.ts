import type { Message } from '@aicm/protocol'
import type { Draft } from '../claude/output.ts'
import type { Said } from '../claude/read-transcript.ts'
import { continuationText } from '../session/cut-off.ts'

/** What makes two tellings of a message the same one; undefined for what is told nowhere else. */
const keyOf = (draft: Draft | Message, turnId: string | undefined): string | undefined => {
  switch (draft.type) {
    case 'text':
    case 'thinking':
      return `${draft.type} ${turnId} ${draft.text}`
    case 'tool_use':
    case 'tool_result':
      return `${draft.type} ${draft.toolUseId}`
    case 'prompt':
    case 'complete':
      return turnId === undefined ? undefined : `${draft.type} ${turnId}`
    default:
      return undefined
  }
}

const keyed = (said: Said): string | undefined => keyOf(said.draft, said.turnId)

const isTurnMark = ({ draft }: Said): boolean => draft.type === 'prompt' || draft.type === 'complete'

/** A turn has one prompt and one end. What goes on with a turn that was cut off is neither. */
const withoutRepeats = (telling: Said[]): Said[] => {
  const continuations = new Set(
    telling.filter(({ draft }) => isContinuation(draft)).map(({ turnId }) => `prompt ${turnId}`),
  )
  const seen = new Set<string | undefined>()
  return telling.filter((said) => {
    const key = keyed(said)
    if (!isTurnMark(said)) return true
    if (seen.has(key) || (key !== undefined && continuations.has(key))) return false
    seen.add(key)
    return true
  })
}

const isContinuation = (draft: Draft): boolean =>
  draft.type === 'prompt' && draft.content.some((block) => block.type === 'text' && block.text === continuationText)

/** Two tellings of one conversation as one: what only the second has comes behind what it follows there. */
export const mergeTellings = (first: Said[], second: Said[]): Said[] => {
  const places = new Map(first.map((said, at) => [keyed(said), at]))
  const behind = new Map<number, Said[]>()
  let at = -1
  for (const said of second) {
    const place = places.get(keyed(said))
    if (place !== undefined) at = Math.max(at, place)
    else behind.set(at, [...(behind.get(at) ?? []), said])
  }
  return withoutRepeats([
    ...(behind.get(-1) ?? []),
    ...first.flatMap((said, index) => [said, ...(behind.get(index) ?? [])]),
  ])
}

const lost = (seq: number, time: string): Message => ({
  type: 'system',
  seq,
  time,
  subtype: 'lost',
  data: 'A message was here that could not be recovered after the database was damaged.',
})

const place = ({ draft, turnId, time }: Said, seq: number, near: string): Message =>
  ({ ...draft, seq, time: time ?? near, turnId }) as Message

/**
 * The log from 1 to `lastSeq`: events that are there keep their place, what is missing between them is taken from a telling of
 * the conversation, in its order, and a place that nothing is known of says so. `rest` is what the telling has behind it.
 */
export const fillGaps = (
  events: Message[],
  lastSeq: number,
  telling: Said[],
): { events: Message[]; rest: Said[]; filled: number; lost: number } => {
  const bySeq = new Map(events.map((event) => [event.seq, event]))
  const there = new Map<string, number>()
  for (const event of events) {
    const key = keyOf(event, event.turnId)
    if (key !== undefined) there.set(key, event.seq)
  }
  const seqOf = (said: Said): number | undefined => {
    const key = keyed(said)
    return key === undefined ? undefined : there.get(key)
  }
  /** What is not there yet, and the events that it must stand behind and before. */
  const missing: { said: Said; after: number; before: number }[] = []
  let after = 0
  let bounded = 0
  for (const said of telling) {
    const seq = seqOf(said)
    if (seq === undefined) missing.push({ said, after, before: Infinity })
    else {
      for (const earlier of missing.slice(bounded)) earlier.before = Math.max(seq, earlier.after + 1)
      bounded = missing.length
      after = Math.max(after, seq)
    }
  }

  const whole: Message[] = []
  let next = 0
  let filled = 0
  let holes = 0
  let near = events[0]?.time ?? telling[0]?.time ?? new Date(0).toISOString()
  for (let seq = 1; seq <= lastSeq; seq++) {
    const event = bySeq.get(seq)
    if (event !== undefined) {
      whole.push(event)
      near = event.time
      continue
    }
    // Its place was before an event that we are past: there was no room for it.
    while (next < missing.length && missing[next]!.before < seq) next++
    const found = missing[next]
    if (found === undefined || found.after > seq) {
      whole.push(lost(seq, near))
      holes++
    } else {
      whole.push(place(found.said, seq, near))
      next++
      filled++
    }
  }
  const rest = missing.slice(next).filter((left) => left.before === Infinity)
  return { events: whole, rest: rest.map(({ said }) => said), filled, lost: holes }
}

/** Messages behind `lastSeq`. */
export const append = (events: Message[], said: Said[]): Message[] => {
  const near = events.at(-1)?.time ?? said[0]?.time ?? new Date(0).toISOString()
  return [...events, ...said.map((each, at) => place(each, events.length + 1 + at, near))]
}

/** An end for each prompt that has none; `running` is a turn that still runs. */
export const closeTurns = (events: Message[], running: string | undefined): Message[] => {
  const ended = new Set(events.filter(({ type }) => type === 'complete').map(({ turnId }) => turnId))
  const open = events
    .filter(({ type, turnId }) => type === 'prompt' && turnId !== running && !ended.has(turnId))
    .map(({ turnId, time }): Said => ({
      draft: { type: 'complete', result: 'interrupted', reason: 'recovered' },
      turnId,
      time,
    }))
  return append(events, open)
}
