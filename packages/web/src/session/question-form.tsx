import { useState, type FormEvent } from 'react'
import { Button } from '../ui/button.tsx'
import { inputClass } from '../ui/field.tsx'
import { answerText, type Choice, type Question } from './questions.ts'

type Props = {
  questions: readonly Question[]
  busy: boolean
  onAnswer: (choices: Choice[]) => void
  onDecline: () => void
}

/** What Claude wants to know: choices, and a place for another answer. Nothing is chosen beforehand. */
export const QuestionForm = ({ questions, busy, onAnswer, onDecline }: Props) => {
  const [choices, setChoices] = useState<Choice[]>(() => questions.map(() => ({ labels: [], other: '' })))
  const complete = choices.every((choice) => answerText(choice) !== '')
  const change = (index: number, next: Partial<Choice>) =>
    setChoices((now) => now.map((choice, at) => (at === index ? { ...choice, ...next } : choice)))

  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (complete && !busy) onAnswer(choices)
  }
  return (
    <form onSubmit={submit} className="grid grid-cols-1 gap-4">
      {questions.map((question, index) => (
        <QuestionField
          key={question.question}
          question={question}
          choice={choices[index] ?? { labels: [], other: '' }}
          onChange={(next) => change(index, next)}
        />
      ))}
      <div className="flex flex-wrap gap-2">
        <Button type="submit" look="primary" busy={busy} disabled={!complete}>
          Answer
        </Button>
        <Button look="danger" busy={busy} onClick={onDecline}>
          Decline
        </Button>
      </div>
    </form>
  )
}

type FieldProps = { question: Question; choice: Choice; onChange: (next: Partial<Choice>) => void }

const QuestionField = ({ question, choice, onChange }: FieldProps) => {
  const { multiSelect } = question
  const toggle = (label: string, on: boolean) => {
    if (!multiSelect) return onChange({ labels: [label], other: '' })
    onChange({ labels: on ? [...choice.labels, label] : choice.labels.filter((known) => known !== label) })
  }
  return (
    <fieldset className="grid grid-cols-1 gap-1.5">
      <legend className="mb-1.5 font-medium">{question.question}</legend>
      {question.options.map(({ label, description }) => (
        <label
          key={label}
          className="flex gap-2.5 rounded-lg border border-line px-3 py-2 hover:bg-sunken has-checked:border-accent has-checked:bg-tint"
        >
          <input
            type={multiSelect ? 'checkbox' : 'radio'}
            name={question.question}
            checked={choice.labels.includes(label)}
            onChange={(event) => toggle(label, event.target.checked)}
            className="mt-1 size-4 shrink-0 accent-accent"
          />
          <span>
            {label}
            {description !== '' && <span className="block text-sm text-muted">{description}</span>}
          </span>
        </label>
      ))}
      <input
        aria-label={`Another answer: ${question.question}`}
        placeholder="Another answer"
        value={choice.other}
        maxLength={10_000}
        onChange={(event) => onChange({ other: event.target.value, ...(multiSelect ? {} : { labels: [] }) })}
        className={inputClass}
      />
    </fieldset>
  )
}
