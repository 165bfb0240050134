/** What tools are called with and what they answer, as text for people. */

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The keys that tell most, in this order, for the tools that are known and most that are not. */
const tellingKeys = [
  'command',
  'file_path',
  'notebook_path',
  'pattern',
  'path',
  'query',
  'url',
  'description',
  'prompt',
  'skill',
  'subject',
  'name',
]

const oneLine = (text: string, limit = 400): string => {
  const line = text.trim().replace(/\s+/g, ' ')
  return line.length <= limit ? line : `${line.slice(0, limit - 1)}…`
}

/** One line that says what a tool call is about. `input` is JSON text while it still grows, or when it was cut off. */
export const summariseInput = (input: unknown): string => {
  if (typeof input === 'string') return summariseText(input)
  if (!isRecord(input)) return input === undefined || input === null ? '' : oneLine(JSON.stringify(input))
  if (Array.isArray(input.todos)) return `${input.todos.length} ${input.todos.length === 1 ? 'item' : 'items'}`
  if (Array.isArray(input.questions)) {
    const [first] = input.questions
    if (isRecord(first) && typeof first.question === 'string') return oneLine(first.question)
  }
  const key = tellingKeys.find((known) => typeof input[known] === 'string' && input[known] !== '')
  if (key !== undefined) {
    const where = key === 'pattern' && typeof input.path === 'string' ? ` in ${input.path}` : ''
    return oneLine(`${String(input[key])}${where}`)
  }
  const strings = Object.values(input).filter((value) => typeof value === 'string' && value !== '')
  if (strings.length > 0) return oneLine(String(strings[0]))
  return Object.keys(input).length === 0 ? '' : oneLine(JSON.stringify(input))
}

const summariseText = (text: string): string => {
  const whole = parse(text)
  if (isRecord(whole)) return summariseInput(whole)
  for (const key of tellingKeys) {
    const found = new RegExp(`"${key}"\\s*:\\s*"((?:[^"\\\\]|\\\\.)*)`).exec(text)?.[1]
    if (found !== undefined && found !== '') return oneLine(String(parse(`"${found}"`) ?? found))
  }
  return text.trimStart().startsWith('{') ? '' : oneLine(text)
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export type Section = { label?: string; text: string }

/**
 * The whole input: texts of several lines as they are, under their names; all else as JSON. Nothing is left out, since
 * this is what a person allows or denies.
 */
export const inputSections = (input: unknown): Section[] => {
  const value = typeof input === 'string' ? (parse(input) ?? input) : input
  if (typeof value === 'string') return value === '' ? [] : [{ text: value }]
  if (!isRecord(value)) return value === undefined || value === null ? [] : [{ text: JSON.stringify(value, null, 2) }]
  const long = Object.entries(value).filter(isLongText)
  const rest = Object.entries(value).filter((entry) => !isLongText(entry))
  return [
    ...(rest.length === 0 ? [] : [{ text: JSON.stringify(Object.fromEntries(rest), null, 2) }]),
    ...long.map(([label, text]) => ({ label, text })),
  ]
}

const isLongText = (entry: [string, unknown]): entry is [string, string] => {
  const [key, value] = entry
  return typeof value === 'string' && (key === 'command' || value.includes('\n'))
}

export type ResultPart = { kind: 'text'; text: string } | { kind: 'image'; src: string }

const imageTypes = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp'])

/** A tool's answer: a string, or content blocks; what is neither is shown as JSON. */
export const resultParts = (content: unknown): ResultPart[] => {
  if (content === undefined || content === null || content === '') return []
  if (typeof content === 'string') return [{ kind: 'text', text: content }]
  if (!Array.isArray(content)) return [{ kind: 'text', text: JSON.stringify(content, null, 2) }]
  return content.flatMap((block): ResultPart[] => {
    if (isRecord(block) && block.type === 'text' && typeof block.text === 'string')
      return block.text === '' ? [] : [{ kind: 'text', text: block.text }]
    const src = isRecord(block) && block.type === 'image' ? imageSource(block.source) : undefined
    if (src !== undefined) return [{ kind: 'image', src }]
    return [{ kind: 'text', text: JSON.stringify(block, null, 2) }]
  })
}

const imageSource = (source: unknown): string | undefined => {
  if (!isRecord(source) || source.type !== 'base64') return undefined
  if (typeof source.media_type !== 'string' || !imageTypes.has(source.media_type)) return undefined
  return typeof source.data === 'string' ? `data:${source.media_type};base64,${source.data}` : undefined
}
