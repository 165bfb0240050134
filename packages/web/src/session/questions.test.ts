import { expect, test } from 'vitest'
import { answeredInput, questionsOf } from './questions.ts'

const input = {
  questions: [
    {
      question: 'Which one?',
      header: 'Pick',
      options: [{ label: 'A', description: 'first' }, { label: 'B' }],
      multiSelect: false,
    },
    { question: 'What else?', header: 'More', options: [{ label: 'C' }], multiSelect: true },
  ],
}

test('the questions of a call are read, those of an unknown form are not guessed', () => {
  expect(questionsOf('AskUserQuestion', input)?.map(({ question, multiSelect }) => [question, multiSelect])).toEqual([
    ['Which one?', false],
    ['What else?', true],
  ])
  expect(questionsOf('AskUserQuestion', { questions: [{ question: 'Without options' }] })).toBeUndefined()
  expect(questionsOf('AskUserQuestion', { questions: [] })).toBeUndefined()
  expect(questionsOf('Bash', input)).toBeUndefined()
})

test('the answers go back by question, several in one text', () => {
  const questions = questionsOf('AskUserQuestion', input) ?? []
  const choices = [
    { labels: ['B'], other: '' },
    { labels: ['C'], other: ' and D ' },
  ]
  expect(answeredInput(input, questions, choices)).toEqual({
    ...input,
    answers: { 'Which one?': 'B', 'What else?': 'C, and D' },
  })
})
