import type { DownMessage, StreamItem } from '@aicm/protocol'

const itemsOf = (frame: Buffer): StreamItem[] => {
  const message: DownMessage = JSON.parse(frame.toString('utf8'))
  return message.type === 'events' ? message.items : []
}

export const itemsIn = (frames: readonly Buffer[]): StreamItem[] => frames.flatMap(itemsOf)

/** What a reader shows: deltas put at their place, the beginning of the whole texts that end their blocks. */
export const textOfFrames = (frames: readonly Buffer[]): string => {
  const shown = new Map<string, string>()
  const whole: string[] = []
  for (const item of itemsIn(frames)) {
    if (item.type === 'delta' && item.kind === 'text') {
      const before = shown.get(item.block) ?? ''
      if (item.at > before.length)
        throw new Error(`A delta at ${item.at} of a block of which ${before.length} were shown.`)
      shown.set(item.block, before.slice(0, item.at) + item.text)
    }
    if (item.type !== 'text') continue
    const live = shown.get(item.block)
    // Whoever is told less of it meanwhile has fallen behind, and gets the rest with the whole.
    if (live !== undefined && !item.text.startsWith(live)) throw new Error('The deltas of a block are not its text.')
    whole.push(item.text)
  }
  return whole.join('')
}
