import type { Conversation } from './conversation.ts'

/** The person's words inside a sentence of ours: one line, short, and without anything that Markdown would act on. */
const quote = (prompt: string): string => {
  const line = prompt.replaceAll(/[\s`*_<>#|[\]\\]+/g, ' ').trim()
  return line.length > 80 ? `${line.slice(0, 79).trimEnd()}…` : line
}

export const thoughts =
  'The prompt asks for some thought. This is the demo API, so there is nobody to think: these words only show where the ' +
  'thinking of a model would appear, before its answer.'

export const plainAnswer = ({ prompt, images, cwd }: Conversation): string => `## Hello from the demo API

You wrote: *${quote(prompt) || '(nothing)'}*${images > 0 ? `, with ${images} image${images > 1 ? 's' : ''}` : ''}. This answer is **scripted: no model has read your prompt.** Everything else is real: the server, the stream, and the Claude Code process${cwd === null ? '' : ` that works in \`${cwd.replaceAll('`', '')}\``}.

Things to try:

1. *Create a file hello.txt*: asks for your approval, then writes it
2. *List the files*: runs a command
3. *Write a long essay*: a long answer, to interrupt or to reload in the middle
4. *Error 529*: an overloaded API, and what Claude Code does about it

\`\`\`ts
for await (const message of session.execute('Hello')) {
  console.log(message.type)
}
\`\`\`

| | demo | live |
|---|---|---|
| Claude Code | real | real |
| Answers | scripted | from the model |
| Credential | none | yours |

Start the server with \`ANTHROPIC_API_KEY\` set to talk to a model.
`

const topics = [
  [
    'a stream is not a message',
    'A message arrives whole; a stream arrives in pieces, and somebody has to decide what a piece means on its own',
  ],
  [
    'a process may end at any moment',
    'Machines restart, networks drop, and people close their laptops in the middle of a sentence',
  ],
  ['an order must be kept', 'What was said first has to stay first, for every reader and after every restart'],
  [
    'a reader may be slow',
    'One reader on a train must not hold up another in the office, nor fill the memory of the server',
  ],
  [
    'a question may wait',
    'Some steps need a person to agree, and people take their time, so waiting must cost nothing',
  ],
  [
    'a failure should be told',
    'An error that is named can be dealt with; one that is swallowed comes back later and larger',
  ],
  ['a record is worth more than a memory', 'What is written down can be read again by anybody who comes late'],
  ['small parts are easier to trust', 'Each does one thing, and what it does can be tried out by itself'],
] as const

/** About 1,500 tokens, the same ones each time. */
export const longAnswer = (prompt: string): string => {
  const sections = topics.map(
    ([title, reason], index) => `## ${index + 1}. ${title.charAt(0).toUpperCase()}${title.slice(1)}

${reason}. In a demonstration this is easy to overlook, because everything happens once, on one machine, with one person watching. In daily use it happens thousands of times, and the rare case comes every day. So the first rule is to accept that ${title}, and to build for it from the start instead of adding it at the end.

- It shows most clearly while an answer is being written: reload this page now, and the text goes on where it was.
- It shows again when the connection is lost: nothing is missing afterwards, and nothing is there twice.

That is paragraph ${index + 1} of ${topics.length}; you may interrupt the answer at any point and continue with another prompt.
`,
  )
  return `# A long answer

You asked: *${quote(prompt)}*. This is the demo API, and this text is **scripted**: it is long on purpose, so that there is time to watch it, to leave and come back, or to interrupt it.

${sections.join('\n')}
## The end

This was the long answer of the demo API. With a credential configured, a model would have written about what you asked.
`
}

export const errorAnswer = (status: number): string => {
  const names: Record<number, string> = {
    401: 'invalid x-api-key',
    403: 'this key may not use the model',
    429: 'too many requests for now',
    529: 'Overloaded',
  }
  return `${names[status] ?? `error ${status}`} (scripted by the demo API, because the prompt asked for it)`
}

/** Something small that fits the file's ending. */
export const fileContent = (extension: string, prompt: string): string => {
  const asked = quote(prompt)
  switch (extension.toLowerCase()) {
    case '.md':
      return `# Demo\n\nThe prompt was: ${asked}\n\nThis file was written by Claude Code with words from a script.\n`
    case '.json':
      return `${JSON.stringify({ demo: true, prompt: asked }, null, 2)}\n`
    case '.html':
      return '<!doctype html>\n<title>Demo</title>\n<h1>Hello from the demo</h1>\n'
    case '.css':
      return 'body {\n  font-family: sans-serif;\n}\n'
    case '.js':
    case '.mjs':
    case '.jsx':
    case '.ts':
    case '.tsx':
      return "console.log('Hello from the demo')\n"
    case '.py':
      return "print('Hello from the demo')\n"
    case '.sh':
      return "#!/bin/sh\necho 'Hello from the demo'\n"
    default:
      return `Hello from the demo.\nThe prompt was: ${asked}\n`
  }
}
