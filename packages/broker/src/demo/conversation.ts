/** What the script needs of a Messages API request. Read leniently: the CLI adds fields with each version. */
export type Conversation = {
  model: string
  stream: boolean
  maxTokens: number
  tools: string[]
  system: string
  /** The schema when the caller wants JSON instead of text. */
  outputSchema: unknown
  /** Where the CLI works, when it says so. */
  cwd: string | null
  /** The newest text that a person wrote: without what the CLI inserts. */
  prompt: string
  images: number
  /** Tool calls since that prompt, oldest first. */
  calls: ToolCall[]
  /** How many answers with tool calls were given since that prompt. */
  answered: number
  /** What was said since that prompt or the last tool result: an answer that broke off, which the CLI wants continued. */
  said: string
}

export type ToolCall = { id: string; name: string; input: Record<string, unknown>; result: ToolResult | null }
export type ToolResult = { toolUseId: string; text: string; isError: boolean }

const insertedByTheCli =
  /^\[Request interrupted by user[^\]]*\]$|^Tool loaded\.$|^Your response above was cut off mid-stream\./
const reminder = /<system-reminder>[\s\S]*?<\/system-reminder>/g
const sentMeanwhile = /The user sent a new message while you were working:\n([\s\S]*?)\n\nThis is how Claude Code/g
const workingDirectory = /^[ -]*(?:Primary working directory|Working directory): (.+)$/gm

/** Throws a TypeError that says what is missing when it is not a Messages API request at all. */
export const readConversation = (body: unknown): Conversation => {
  if (!isRecord(body)) throw new TypeError('the body must be a JSON object')
  if (typeof body.model !== 'string') throw new TypeError('model: Field required')
  if (!Array.isArray(body.messages)) throw new TypeError('messages: Field required')

  const system = textOf(body.system)
  const format = isRecord(body.output_config) ? body.output_config.format : body.output_format
  const conversation: Conversation = {
    model: body.model,
    stream: body.stream === true,
    maxTokens: typeof body.max_tokens === 'number' ? body.max_tokens : Infinity,
    tools: list(body.tools).flatMap((tool) => (typeof tool.name === 'string' ? [tool.name] : [])),
    system,
    outputSchema: isRecord(format) ? (format.schema ?? null) : null,
    cwd: lastWorkingDirectory(system),
    prompt: '',
    images: 0,
    calls: [],
    answered: 0,
    said: '',
  }
  for (const message of body.messages) if (isRecord(message)) readMessage(conversation, message)
  return conversation
}

const readMessage = (conversation: Conversation, message: Record<string, unknown>): void => {
  const blocks = typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : list(message.content)
  if (message.role === 'system') {
    readInserted(conversation, textOf(message.content))
    return
  }
  if (message.role === 'assistant') {
    const calls = blocks.filter((block) => block.type === 'tool_use').map(toolCallOf)
    conversation.calls.push(...calls)
    if (calls.length > 0) conversation.answered += 1
    for (const { type, text } of blocks) if (type === 'text' && typeof text === 'string') conversation.said += text
    return
  }
  const images = blocks.filter((block) => block.type === 'image').length
  for (const block of blocks) {
    if (block.type === 'tool_result') {
      const result = toolResultOf(block)
      const call = conversation.calls.find(({ id }) => id === result.toolUseId)
      if (call !== undefined) call.result = result
      conversation.said = ''
    }
    if (block.type !== 'text' || typeof block.text !== 'string') continue
    for (const [inserted] of block.text.matchAll(reminder)) readInserted(conversation, inserted)
    const text = block.text.replaceAll(reminder, '').trim()
    // Prompts that were never answered come merged into one message: only the last one counts.
    if (text === '' || insertedByTheCli.test(text)) continue
    Object.assign(conversation, { prompt: text, images, calls: [], answered: 0, said: '' })
  }
}

/** A prompt that came while tools ran gets no turn of its own: the CLI adds it to the running one, and so does the script. */
const readInserted = (conversation: Conversation, text: string): void => {
  conversation.cwd = lastWorkingDirectory(text) ?? conversation.cwd
  for (const [, added = ''] of text.matchAll(sentMeanwhile)) conversation.prompt += `\n${added}`
}

const toolCallOf = (block: Record<string, unknown>): ToolCall => ({
  id: String(block.id),
  name: String(block.name),
  input: isRecord(block.input) ? block.input : {},
  result: null,
})

const toolResultOf = (block: Record<string, unknown>): ToolResult => ({
  toolUseId: String(block.tool_use_id),
  text: textOf(block.content).replaceAll(reminder, '').trim(),
  isError: block.is_error === true,
})

const lastWorkingDirectory = (text: string): string | null =>
  [...text.matchAll(workingDirectory)].at(-1)?.[1]?.trim() ?? null

const textOf = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : list(content)
        .map((block) => (typeof block.text === 'string' ? block.text : ''))
        .join('\n')

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const list = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : [])
