/** How fast pieces leave: `size` at a time, `delayMs` between. No pace means as fast as the reader takes them. */
export type Pace = { delayMs: number; size: number } | null

/** One thing the scripted API does while it answers one call. */
export type Step =
  | { kind: 'text'; pieces: string[]; pace: Pace }
  | { kind: 'thinking'; pieces: string[]; pace: Pace }
  | { kind: 'tool'; name: string; input: Record<string, unknown> }
  | { kind: 'error'; status: number; message: string; headers?: Record<string, string> }
  /** Silence until the caller goes away: after `message_start`, or already after the HTTP headers. */
  | { kind: 'hang'; after: 'start' | 'headers' }
  /** The connection breaks. */
  | { kind: 'reset' }
  /** An event that is not JSON, then the end. */
  | { kind: 'malformed' }

/** The steps of one API call, in order; the first tool call is the last step that shows. */
export type Reply = Step[]

/** Cuts text into token-like pieces: words with the space before them, long ones in parts. Joined they are the text again. */
export const piecesOf = (text: string): string[] => text.match(/\s*\S{1,8}|\s+/g) ?? []

/** The rest of a reply of which this text has arrived: after a broken stream the CLI asks for exactly that. */
export const afterText = (reply: Reply, said: string): Reply => {
  let left = said
  const rest = reply.flatMap((step): Step[] => {
    if (left === '') return [step]
    if (step.kind === 'thinking') return []
    if (step.kind !== 'text') return [step]
    const full = step.pieces.join('')
    if (left.startsWith(full)) {
      left = left.slice(full.length)
      return []
    }
    // What was said is another text: an answer from before the script changed. Say all of it.
    if (!full.startsWith(left)) return [step]
    const remaining = full.slice(left.length)
    left = ''
    return [{ ...step, pieces: piecesOf(remaining) }]
  })
  return rest.length > 0 ? rest : [{ kind: 'text', pieces: ['Done.'], pace: null }]
}
