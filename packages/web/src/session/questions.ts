/** The tool with which Claude asks people: its answers go back inside its input. */
export const questionTool = 'AskUserQuestion'

export type Question = {
  question: string
  header: string
  options: { label: string; description: string }[]
  multiSelect: boolean
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const textOf = (value: unknown) => (typeof value === 'string' ? value : '')

/** The questions of a call; undefined when it is no such call, or of a form that is not known. */
export const questionsOf = (tool: string, input: unknown): Question[] | undefined => {
  if (tool !== questionTool || !isRecord(input) || !Array.isArray(input.questions) || input.questions.length === 0)
    return
  const questions = input.questions.map((item: unknown): Question | undefined => {
    if (!isRecord(item) || typeof item.question !== 'string' || !Array.isArray(item.options)) return undefined
    const options = item.options
      .filter(isRecord)
      .map(({ label, description }) => ({ label: textOf(label), description: textOf(description) }))
    return { question: item.question, header: textOf(item.header), options, multiSelect: item.multiSelect === true }
  })
  return questions.every((item) => item !== undefined) ? questions : undefined
}

/** What was chosen for one question, and what was written beside the options. */
export type Choice = { labels: string[]; other: string }

/** The input with its answers, as the CLI takes it: several of one question stand in one text, with commas. */
export const answeredInput = (
  input: unknown,
  questions: readonly Question[],
  choices: readonly Choice[],
): Record<string, unknown> => ({
  ...(isRecord(input) ? input : {}),
  answers: Object.fromEntries(questions.map(({ question }, index) => [question, answerText(choices[index])])),
})

export const answerText = (choice: Choice | undefined): string =>
  [
    ...(choice?.labels ?? []),
    ...(choice === undefined || choice.other.trim() === '' ? [] : [choice.other.trim()]),
  ].join(', ')
