import { isRecord, type Conversation } from './conversation.ts'
import { parseDirectives } from './directives.ts'
import { piecesOf, type Reply } from './reply.ts'

const wantsTitle = /\b(title|topic)\b/i
const wantsSummary = /\b(detailed summary of (the|this|our) conversation|summary of the conversation so far)\b/i

/**
 * What the CLI asks beside the conversation: titles, summaries, whether a model answers. Short, at once, and never a
 * script for people, although such a call may quote a person's prompt. Null for the conversation itself.
 */
export const sideReply = (conversation: Conversation): Reply | null => {
  const { system, prompt, tools, outputSchema } = conversation
  if (wantsSummary.test(prompt)) {
    return say(
      '<analysis>Scripted.</analysis>\n<summary>\nThe conversation so far ran on the demo API. Nothing needs to be remembered.\n</summary>',
    )
  }
  if (tools.length > 0) return null
  if (outputSchema !== null) return say(JSON.stringify(exampleOf(outputSchema)))
  if (wantsTitle.test(system.slice(0, 2000))) return say('Demo conversation')
  // With all tools switched off the CLI still sends its long system prompt: that is a conversation.
  if (system.length > 1500 || parseDirectives(prompt).length > 0) return null
  return say('This is a scripted answer from the demo API.')
}

const say = (text: string): Reply => [{ kind: 'text', pieces: piecesOf(text), pace: null }]

/** The smallest value that a JSON schema of the common kind accepts. */
const exampleOf = (schema: unknown): unknown => {
  if (!isRecord(schema)) return 'Demo'
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if ('const' in schema) return schema.const
  switch (schema.type) {
    case 'object':
      return isRecord(schema.properties)
        ? Object.fromEntries(Object.entries(schema.properties).map(([name, part]) => [name, exampleOf(part)]))
        : {}
    case 'array':
      return []
    case 'boolean':
      return false
    case 'integer':
    case 'number':
      return 0
    case 'null':
      return null
    default:
      return 'Demo conversation'
  }
}
