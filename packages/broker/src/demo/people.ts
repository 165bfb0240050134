import { extname, isAbsolute, join, normalize } from 'node:path'
import { errorAnswer, fileContent, longAnswer, plainAnswer, thoughts } from './answers.ts'
import type { Conversation, ToolCall } from './conversation.ts'
import { piecesOf, type Pace, type Reply, type Step } from './reply.ts'

const fileName =
  /(?<![\w/.-])((?:[\w-]+\/)*[\w-]+\.(?:txt|md|json|ya?ml|toml|csv|html|css|jsx?|tsx?|mjs|py|sh|go|rs|java|c|sql))\b/i
const wantsToWrite = /\b(create|write|make|add|save|generate|edit|change|update)\b[^?!\n]{0,80}/i
const commands = 'ls|pwd|date|echo|whoami|uname|cat|git|npm|node|python3?|make'
const wantsCommand = new RegExp(
  [
    String.raw`\b(run|execute)\b[^.?!\n]{0,60}(\`|\b(command|script|shell|bash|tests?|${commands})\b)`,
    String.raw`\blist\b[^.?!\n]{0,30}\bfiles\b`,
    String.raw`\b(shell|bash|terminal)\b`,
  ].join('|'),
  'i',
)
const namedCommand = new RegExp(String.raw`\b(?:run|execute)\s+((?:${commands})\b[^\n;&|<>$"'()?!]*)`, 'i')
const wantsLong =
  /\b(essay|long (answer|text|story|article|reply|response)|\d{3,5} words|in (great )?detail|very long|something long)\b/i
const wantsThought = /\b(think|reason)\b/i
const wantsError = /\berror (4\d\d|5\d\d)\b/i

/** The answer to a plain prompt: what it asks for decides what the demo shows. */
export const peopleReply = (conversation: Conversation, pace: Pace): Reply => {
  const { prompt } = conversation
  const say = (text: string): Step => ({ kind: 'text', pieces: piecesOf(text), pace })
  const can = (tool: string) => conversation.tools.includes(tool)
  const status = statusAskedFor(prompt)
  if (status !== null) return [errorStep(status)]
  if (wantsFile(prompt) && can('Write')) return writeFile(conversation, say)
  if (wantsCommand.test(prompt) && can('Bash')) return runCommand(conversation, say)
  if (wantsLong.test(prompt)) return [say(longAnswer(prompt))]
  const thinking: Step[] = wantsThought.test(prompt) ? [{ kind: 'thinking', pieces: piecesOf(thoughts), pace }] : []
  return [...thinking, say(plainAnswer(conversation))]
}

const wantsFile = (prompt: string): boolean => {
  const wish = wantsToWrite.exec(prompt)?.[0] ?? ''
  return /\bfiles?\b/i.test(wish) || fileName.test(wish)
}

const statusAskedFor = (prompt: string): number | null => {
  const named = wantsError.exec(prompt)?.[1]
  if (named !== undefined) return Number(named)
  if (/\brate[ -]limit/i.test(prompt)) return 429
  return /\boverloaded\b/i.test(prompt) ? 529 : null
}

const errorStep = (status: number): Step => ({
  kind: 'error',
  status,
  message: errorAnswer(status),
  ...(status === 429 ? { headers: { 'retry-after': '1' } } : {}),
})

type Say = (text: string) => Step

const writeFile = ({ prompt, calls, cwd }: Conversation, say: Say): Reply => {
  const named = fileName.exec(prompt)?.[1] ?? 'demo.md'
  const path = isAbsolute(named) || normalize(named).startsWith('..') ? 'demo.md' : named
  const input = { file_path: join(cwd ?? '/', path), content: fileContent(extname(path), prompt) }
  const last = calls.at(-1)

  if (last === undefined)
    return [
      say(`I will write \`${path}\`. (This is the demo API: a script, not a model.)`),
      { kind: 'tool', name: 'Write', input },
    ]
  if (last.result?.isError === true) {
    // Claude Code overwrites only what it has read.
    if (calls.length === 1 && /\bread\b/i.test(last.result.text)) {
      return [
        say('The file exists already, so I read it first.'),
        { kind: 'tool', name: 'Read', input: { file_path: input.file_path } },
      ]
    }
    return [say(refusedAnswer(last))]
  }
  if (last.name === 'Read') return [{ kind: 'tool', name: 'Write', input }]
  return [
    say(
      `Done: \`${path}\` is in the workspace.\n\nIt was written by the real \`Write\` tool of Claude Code, after the permission that you (or the session's settings) gave. Only the words come from a script.`,
    ),
  ]
}

const runCommand = ({ prompt, calls }: Conversation, say: Say): Reply => {
  const last = calls.at(-1)
  if (last === undefined) {
    const command = commandAskedFor(prompt)
    return [
      say(`I will run \`${command}\`. (This is the demo API: a script, not a model.)`),
      { kind: 'tool', name: 'Bash', input: { command, description: 'Run the command that was asked for' } },
    ]
  }
  if (last.result?.isError === true) return [say(refusedAnswer(last))]
  return [
    say(
      `It ran. This is what it printed:\n\n${fenced(last.result?.text || '(nothing)')}\n\nThe command was run by the real \`Bash\` tool of Claude Code; only the words come from a script.`,
    ),
  ]
}

const commandAskedFor = (prompt: string): string => {
  const quoted = /`+([^`\n]{1,500})`+/.exec(prompt)?.[1]?.trim()
  if (quoted !== undefined && quoted !== '') return quoted
  const named = namedCommand
    .exec(prompt)?.[1]
    ?.replace(/[\s.,]*\b(please|for me|and|then)\b.*$/i, '')
    .replace(/[\s.,]+$/, '')
  if (named !== undefined && named !== '') return named
  if (/\bgit\b/i.test(prompt)) return 'git status --short --branch'
  if (/\b(pwd|current (directory|folder))\b/i.test(prompt)) return 'pwd'
  if (/\b(date|time)\b/i.test(prompt)) return 'date'
  return 'ls -la'
}

const denied = /doesn't want|does not want|denied|declined|rejected|not allowed|permission/i

const refusedAnswer = (call: ToolCall): string => {
  const said = call.result?.text ?? ''
  return denied.test(said)
    ? `All right, I leave that: the permission for \`${call.name}\` was not given. Nothing was changed. Ask again whenever you like.`
    : `\`${call.name}\` did not succeed. It said:\n\n${fenced(said)}`
}

/** A fence longer than any in the text, so that the text cannot leave it. */
const fenced = (text: string): string => {
  const shown = text.length > 2000 ? `${text.slice(0, 2000)}\n…` : text
  const longest = Math.max(2, ...[...shown.matchAll(/`+/g)].map(([ticks]) => ticks.length))
  const fence = '`'.repeat(longest + 1)
  return `${fence}text\n${shown}\n${fence}`
}
