/**
 * Text of a model, a tool or a file may hold escape sequences that a terminal would obey: move the cursor, rewrite what
 * was shown, set the clipboard. Here they lose their effect: whole sequences go, and so does every control character but
 * line feed and tab.
 */

/** As a state, because a sequence may come in two pieces. */
type State = 'text' | 'escape' | 'csi' | 'string' | 'string-escape'

/** A filter for a text that comes in pieces. */
export const createInert = (): ((piece: string) => string) => {
  let state: State = 'text'
  // An unfinished sequence must not swallow the rest of an answer: no real one is that long.
  let length = 0

  return (piece) => {
    if (state === 'text' && !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(piece)) return piece
    let out = ''
    for (const char of piece) {
      const before: State = state
      state = next(state, char, length)
      length = state === 'text' ? 0 : length + 1
      if (before === 'text' ? state === 'text' && isPlain(char) : state === 'text' && breaksOff(before, char))
        out += char
    }
    return out
  }
}

const longest = 4096

const isControl = (char: string): boolean => /[\u0000-\u001f\u007f-\u009f]/.test(char)
const isPlain = (char: string): boolean => char === '\n' || char === '\t' || !isControl(char)

/** A line end, or more text than any sequence has, ends what only looked like one, and is kept. */
const breaksOff = (state: State, char: string): boolean =>
  state === 'csi' || state === 'escape' ? char === '\n' || (isPlain(char) && !/[ -~]/.test(char)) : char === '\n'

const next = (state: State, char: string, length: number): State => {
  if (state !== 'text' && (char === '\n' || length >= longest)) return 'text'
  switch (state) {
    case 'text':
      if (char === '\u001b') return 'escape'
      if (char === '\u009b') return 'csi'
      return /[\u0090\u0098\u009d\u009e\u009f]/.test(char) ? 'string' : 'text'
    case 'escape':
      if (char === '[') return 'csi'
      if (/[PX\]^_]/.test(char)) return 'string'
      if (char === '\u001b') return 'escape'
      // Between ESC and the final character there may be some of these: ESC ( B
      return /[ -/]/.test(char) ? 'escape' : 'text'
    case 'csi':
      if (char === '\u001b') return 'escape'
      return /[ -?]/.test(char) ? 'csi' : 'text'
    case 'string':
      if (char === '\u0007' || char === '\u009c' || char === '\u0018' || char === '\u001a') return 'text'
      return char === '\u001b' ? 'string-escape' : 'string'
    case 'string-escape':
      return char === '\\' ? 'text' : next('escape', char, length)
  }
}

/** A whole text. */
export const inert = (text: string): string => createInert()(text)

/**
 * Something of others inside a line of ours: one line, and without the marks that turn the direction of reading, by which
 * a command can be shown as another one.
 */
export const inertLine = (text: string): string =>
  inert(text)
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
    .replace(/\s+/g, ' ')
    .trim()

/** JSON on one line that no terminal obeys: the standard escapes C0 only. */
export const inertJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, undefined, indent).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
