import { continueTool, type Approval, type Decision } from '@aicm/protocol'
import { AicmError, approvalQuestion } from '@aicm/client'
import { ShieldQuestion } from 'lucide-react'
import { useId, useState, type FormEvent, type ReactNode } from 'react'
import { toast } from 'sonner'
import { useAnswer } from '../app/use-approvals.ts'
import { Button } from '../ui/button.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { inputClass } from '../ui/field.tsx'
import { QuestionForm } from './question-form.tsx'
import { answeredInput, questionsOf } from './questions.ts'
import { ToolInput } from './tool-input.tsx'

export type OpenApproval = Pick<Approval, 'id' | 'tool' | 'input' | 'canRemember'>

/** A tool asks for permission: everything it would do, and the answers. */
export const ApprovalCard = ({ approval, where }: { approval: OpenApproval; where?: ReactNode }) => {
  const title = useId()
  const answer = useAnswer()
  const [denying, setDenying] = useState(false)
  const [reason, setReason] = useState('')
  const [answered, setAnswered] = useState<string>()

  const decide = (decision: 'allow' | 'deny', more: Omit<Decision, 'decision'> = {}) =>
    answer.mutate(
      { id: approval.id, decision, ...more },
      {
        onSuccess: () => setAnswered(decision === 'allow' ? 'Allowed' : 'Denied'),
        onError: (error) => {
          if (!(error instanceof AicmError) || error.code !== 'approval_already_answered') return
          toast.info('This was already answered somewhere else.')
          setAnswered('Already answered')
        },
      },
    )
  const deny = (event: FormEvent) => {
    event.preventDefault()
    decide('deny', reason.trim() === '' ? {} : { message: reason.trim() })
  }
  const toContinue = approval.tool === continueTool
  const questions = questionsOf(approval.tool, approval.input)
  const busy = answer.isPending || answered !== undefined

  return (
    <div role="group" aria-labelledby={title} className="overflow-hidden rounded-xl border border-warn/45 bg-surface">
      <div className="flex items-center gap-2 border-b border-warn/25 bg-warn-tint px-3.5 py-2 text-sm">
        <ShieldQuestion aria-hidden className="size-4 shrink-0 text-warn" />
        <p id={title} className="min-w-0">
          {toContinue ? (
            'The turn was cut off'
          ) : questions === undefined ? (
            <>
              Claude asks to use <b className="wrap-anywhere">{approval.tool}</b>
            </>
          ) : (
            'Claude has a question'
          )}
        </p>
        {where !== undefined && <span className="ml-auto min-w-0 truncate">{where}</span>}
      </div>
      <div className="grid grid-cols-1 gap-3 p-3.5">
        {toContinue ? (
          <p className="text-sm">{approvalQuestion(approval)}</p>
        ) : (
          questions === undefined && <ToolInput input={approval.input} />
        )}
        {answer.error !== null && answered === undefined && <ErrorNote error={answer.error} />}
        {questions !== undefined ? (
          <QuestionForm
            questions={questions}
            busy={busy}
            onAnswer={(choices) => decide('allow', { updatedInput: answeredInput(approval.input, questions, choices) })}
            onDecline={() => decide('deny')}
          />
        ) : denying ? (
          <form onSubmit={deny} className="flex flex-wrap gap-2">
            <input
              autoFocus
              aria-label="Why not? (told to Claude)"
              placeholder="Why not, or what instead? (optional)"
              value={reason}
              maxLength={10_000}
              onChange={(event) => setReason(event.target.value)}
              // Escape leaves this field and does not interrupt the turn.
              data-own-escape
              onKeyDown={(event) => event.key === 'Escape' && setDenying(false)}
              className={`${inputClass} min-w-48 flex-1`}
            />
            <Button type="submit" look="danger" busy={busy}>
              Deny
            </Button>
            <Button look="quiet" onClick={() => setDenying(false)}>
              Back
            </Button>
          </form>
        ) : (
          <div className="flex flex-wrap items-center gap-2">
            <Button look="primary" busy={busy} onClick={() => decide('allow')}>
              {toContinue ? 'Go on' : 'Allow'}
            </Button>
            {approval.canRemember && (
              <Button
                busy={busy}
                title="Allow the like of it for the rest of this session"
                onClick={() => decide('allow', { remember: true })}
              >
                Always allow
              </Button>
            )}
            <Button
              look="danger"
              aria-expanded={false}
              busy={busy}
              onClick={() => (toContinue ? decide('deny') : setDenying(true))}
            >
              {toContinue ? 'End the turn' : 'Deny…'}
            </Button>
            <span role="status" className="text-sm text-muted">
              {answered}
            </span>
          </div>
        )}
      </div>
    </div>
  )
}
