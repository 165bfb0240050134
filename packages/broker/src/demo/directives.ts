import { isAbsolute, join } from 'node:path'
import { isRecord } from './conversation.ts'
import { piecesOf, type Pace, type Reply, type Step } from './reply.ts'

/**
 * Exact answers for tests, asked for in the prompt's text. Where a prompt has directives, all else in it is ignored.
 *
 * | directive | what the API does |
 * |---|---|
 * | `@tokens(N[,delayMs[,chunk]])` | a text block of N tokens, `tok0 tok1 …` (see `tokensText`), one event each; `chunk` (1) at a time, `delayMs` (0) between |
 * | `@text(some text)` | a text block with exactly this text |
 * | `@think(N)` | a thinking block of N tokens; where no text follows, the text `Thought for N tokens.` |
 * | `@bash(command)` | calls `Bash` with this command |
 * | `@write(path\|content)` | calls `Write`; a relative path is taken from the CLI's working directory |
 * | `@tool(Name,{json})` | calls any tool with this input |
 * | `@error(status[,times])` | refuses with this status: the first `times` calls, or always. After other output of the same answer it is an `error` event in the stream |
 * | `@hang` | sends `message_start`, then nothing until the caller goes away |
 * | `@hang(headers)` | the same, with nothing after the HTTP headers |
 * | `@reset(N)` | breaks the connection after N tokens, once; the next time only gives the N tokens |
 * | `@malformed` | sends an event that is not JSON and ends, once; the next time it gives the text `Recovered.` |
 *
 * Several run in order: blocks of one answer up to and with a tool call, the rest after that tool's result.
 * `@text(a) @bash(echo hi) @tokens(20)` is an answer with text and a tool call, then one with 20 tokens.
 *
 * A directive stands at the start or after a space. Parentheses inside must be balanced, or be written `\(` and `\)`.
 * Where nothing is left to say the answer is `Done.`. A stream that breaks off in the middle is continued where it stopped when
 * the CLI asks for that (it does after a broken connection): the texts of both answers, joined, are the whole text.
 * "Once" and "times" count per prompt text and CLI session, also across repeats of the same prompt.
 * A directive with bad arguments is answered with a 400 that says so.
 */
export type Directive =
  | { name: 'tokens'; count: number; pace: Pace }
  | { name: 'text'; text: string }
  | { name: 'think'; count: number }
  | { name: 'tool'; tool: string; input: Record<string, unknown> }
  | { name: 'write'; path: string; content: string }
  | { name: 'error'; status: number; times: number }
  | { name: 'hang'; after: 'start' | 'headers' }
  | { name: 'reset'; count: number }
  | { name: 'malformed' }

/** A directive that cannot be carried out. The message is for the author of the prompt. */
export class BadDirective extends Error {}

/** The text of `@tokens(n)` and `@reset(n)`. */
export const tokensText = (n: number): string => tokenPieces(n).join('')

const tokenPieces = (n: number): string[] =>
  Array.from({ length: n }, (_, index) => (index === 0 ? 'tok0' : ` tok${index}`))

const opening = /(?<=^|\s)@(tokens|text|think|bash|write|tool|error|hang|reset|malformed)(?![\w-])/g
const bare = ['hang', 'malformed']

/** All directives of a prompt, in order; none in a prompt for people. Throws BadDirective. */
export const parseDirectives = (prompt: string): Directive[] => {
  const found: Directive[] = []
  let end = 0
  for (const { 1: name = '', index, 0: match } of prompt.matchAll(opening)) {
    // Inside the argument of the one before.
    if (index < end) continue
    const start = index + match.length
    const argument = prompt[start] === '(' ? balanced(prompt, start) : null
    if (argument === null && !bare.includes(name)) {
      if (prompt[start] !== '(') continue
      throw new BadDirective(`@${name}: the closing parenthesis is missing`)
    }
    end = start + (argument?.length ?? 0)
    found.push(directiveOf(name, argument?.slice(1, -1).replaceAll(/\\([()])/g, '$1') ?? null))
  }
  return found
}

/** From the parenthesis at `start` to its partner, both included; null without a partner. */
const balanced = (text: string, start: number): string | null => {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const escaped = text[at - 1] === '\\'
    if (text[at] === '(' && !escaped) depth += 1
    if (text[at] === ')' && !escaped) depth -= 1
    if (depth === 0) return text.slice(start, at + 1)
  }
  return null
}

const directiveOf = (name: string, argument: string | null): Directive => {
  const text = argument ?? ''
  switch (name) {
    case 'tokens': {
      const [count = 0, delayMs = 0, size = 1] = numbers(name, text, 1, 3)
      return { name, count, pace: delayMs > 0 ? { delayMs, size: Math.max(1, size) } : null }
    }
    case 'text':
      return { name, text }
    case 'think':
      return { name, count: numbers(name, text, 1, 1)[0] ?? 0 }
    case 'bash':
      return { name: 'tool', tool: 'Bash', input: { command: text, description: 'Run a scripted command' } }
    case 'write': {
      const bar = text.indexOf('|')
      if (bar < 1) throw new BadDirective('@write: expected (path|content)')
      return { name, path: text.slice(0, bar), content: text.slice(bar + 1) }
    }
    case 'tool': {
      const comma = text.indexOf(',')
      const tool = (comma === -1 ? text : text.slice(0, comma)).trim()
      if (tool === '') throw new BadDirective('@tool: expected (Name,{json})')
      return { name, tool, input: comma === -1 ? {} : jsonObject(text.slice(comma + 1)) }
    }
    case 'error': {
      const [status = 0, times = Infinity] = numbers(name, text, 1, 2)
      if (status < 400 || status > 599) throw new BadDirective('@error: the status must be between 400 and 599')
      return { name, status, times }
    }
    case 'hang':
      if (argument !== null && text !== 'headers') throw new BadDirective('@hang: expected nothing or (headers)')
      return { name, after: argument === null ? 'start' : 'headers' }
    case 'reset':
      return { name, count: numbers(name, text, 1, 1)[0] ?? 0 }
    case 'malformed':
      return { name }
    default:
      throw new BadDirective(`@${name}: no such directive`)
  }
}

const numbers = (name: string, text: string, least: number, most: number): number[] => {
  const parts = text.split(',').map((part) => part.trim())
  if (parts.length < least || parts.length > most || !parts.every((part) => /^\d{1,7}$/.test(part))) {
    throw new BadDirective(
      `@${name}: expected ${least === most ? least : `${least} to ${most}`} whole number(s), not (${text})`,
    )
  }
  return parts.map(Number)
}

const jsonObject = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text)
    if (isRecord(value)) return value
  } catch {
    // Said below, as for any other value.
  }
  throw new BadDirective(`@tool: ${text} is not a JSON object`)
}

/** True the first `times` that it is asked about this directive of this prompt. */
export type Misfire = (directive: number, times: number) => boolean

/** The answer to the call after `answered` tool calls. */
export const directedReply = (
  directives: Directive[],
  { answered, cwd, misfire }: { answered: number; cwd: string | null; misfire: Misfire },
): Reply => {
  let toolCalls = 0
  const due = directives.flatMap((directive, index) => {
    const part = toolCalls
    if (directive.name === 'tool' || directive.name === 'write') toolCalls += 1
    return part === answered ? stepsOf(directive, cwd, (times) => misfire(index, times)) : []
  })
  const last = due.at(-1)
  if (last === undefined) return [text(['Done.'])]
  if (last.kind === 'thinking') return [...due, text([`Thought for ${last.pieces.length} tokens.`])]
  return due
}

const stepsOf = (directive: Directive, cwd: string | null, misfire: (times: number) => boolean): Step[] => {
  switch (directive.name) {
    case 'tokens':
      return [text(tokenPieces(directive.count), directive.pace)]
    case 'text':
      return [text(piecesOf(directive.text))]
    case 'think':
      return [{ kind: 'thinking', pieces: tokenPieces(directive.count), pace: null }]
    case 'tool':
      return [{ kind: 'tool', name: directive.tool, input: directive.input }]
    case 'write': {
      const { path, content } = directive
      return [
        {
          kind: 'tool',
          name: 'Write',
          input: { file_path: isAbsolute(path) ? path : join(cwd ?? '/', path), content },
        },
      ]
    }
    case 'error':
      return misfire(directive.times)
        ? [{ kind: 'error', status: directive.status, message: `Scripted error ${directive.status}` }]
        : []
    case 'hang':
      return [{ kind: 'hang', after: directive.after }]
    case 'reset':
      return [text(tokenPieces(directive.count)), ...(misfire(1) ? [{ kind: 'reset' } as const] : [])]
    case 'malformed':
      return [misfire(1) ? { kind: 'malformed' } : text(['Recovered.'])]
  }
}

const text = (pieces: string[], pace: Pace = null): Step => ({ kind: 'text', pieces, pace })
