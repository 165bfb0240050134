import type { DownMessage } from '@aicm/protocol'

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Undefined when the text is no JSON. */
export const readJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * The parts of an `events` frame that cursors depend on are checked; the rest is the server's word. A type that this
 * version does not know passes: whoever switches on `type` ignores it.
 */
const isItem = (value: unknown): boolean =>
  isRecord(value) &&
  typeof value.type === 'string' &&
  (value.type === 'delta'
    ? Number.isSafeInteger(value.after) &&
      typeof value.block === 'string' &&
      Number.isSafeInteger(value.at) &&
      typeof value.text === 'string'
    : Number.isSafeInteger(value.seq))

const isDown = (value: unknown): value is DownMessage =>
  isRecord(value) &&
  typeof value.type === 'string' &&
  (value.type !== 'events' ||
    (typeof value.sessionId === 'string' && Array.isArray(value.items) && value.items.every(isItem))) &&
  (value.type !== 'error' || (isRecord(value.error) && typeof value.error.code === 'string'))

/** Undefined when the frame is not a message of the protocol. */
export const readFrame = (text: string): DownMessage | undefined => {
  const value = readJson(text)
  return isDown(value) ? value : undefined
}
