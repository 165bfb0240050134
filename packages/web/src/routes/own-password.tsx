import { useNavigate } from '@tanstack/react-router'
import { KeyRound } from 'lucide-react'
import { useState, type FormEvent, type ReactNode } from 'react'
import { toast } from 'sonner'
import { useApp, useLogin } from '../app/app.tsx'
import { Button } from '../ui/button.tsx'
import { Empty } from '../ui/empty.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { TextField } from '../ui/field.tsx'
import { FrontPage } from '../ui/front-page.tsx'

/** The server's own limits. */
const length = { minLength: 12, maxLength: 1024 }

/** For whoever logs in with a password that somebody else has set: before anything else there is one of their own. */
export const OwnPasswordPage = () => {
  const app = useApp()
  const login = useLogin()
  return (
    <FrontPage>
      {/* The router leaves this page by itself: the log-in changed. */}
      <PasswordForm
        reason={
          <>
            Somebody else has set the password of <b className="text-ink">{login?.username}</b>. Choose one of your own
            to go on.
          </>
        }
        hint="The one that you have just logged in with."
      >
        <Button type="button" look="quiet" onClick={() => void app.logOut()}>
          Log out
        </Button>
      </PasswordForm>
    </FrontPage>
  )
}

/** For whoever wants another one. */
export const ChangePasswordPage = () => {
  const login = useLogin()
  const navigate = useNavigate()
  const done = () => {
    toast.success('Your password is changed.', { description: 'All your other logins have ended.' })
    void navigate({ to: '/sessions', replace: true })
  }
  return (
    <main className="h-full overflow-y-auto">
      <div className="mx-auto grid max-w-sm grid-cols-1 gap-4 px-4 py-6">
        <h1 className="text-xl font-semibold tracking-tight">Change password</h1>
        {login?.withoutPassword === true ? (
          <Empty icon={KeyRound} title="You have no password here">
            You log in by an OpenID provider: a password is changed there.
          </Empty>
        ) : (
          <PasswordForm
            reason={
              <>
                All other logins of <b className="text-ink">{login?.username}</b> end: in other browsers and on the
                command line.
              </>
            }
            onChanged={done}
          />
        )}
      </div>
    </main>
  )
}

type FormProps = {
  reason: ReactNode
  /** Of the password there is. */
  hint?: string
  onChanged?: () => void
  /** What else can be done. */
  children?: ReactNode
}

const PasswordForm = ({ reason, hint, onChanged, children }: FormProps) => {
  const app = useApp()
  const login = useLogin()
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const [again, setAgain] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const differs = again !== '' && again !== next

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (busy || differs) return
    setBusy(true)
    setError(undefined)
    try {
      await app.changePassword(current, next)
      onChanged?.()
    } catch (cause) {
      app.noteError(cause)
      setError(cause)
      setBusy(false)
    }
  }

  return (
    <form onSubmit={submit} className="grid gap-4 rounded-xl border border-line bg-surface p-5">
      <p className="text-sm text-muted">{reason}</p>
      {error !== undefined && <ErrorNote error={error} />}
      {/* For whatever keeps passwords in the browser. */}
      <input hidden readOnly name="username" autoComplete="username" value={login?.username ?? ''} />
      <TextField
        label="Current password"
        name="current-password"
        type="password"
        autoComplete="current-password"
        required
        autoFocus
        maxLength={length.maxLength}
        value={current}
        onChange={(event) => setCurrent(event.target.value)}
        hint={hint}
      />
      <TextField
        label="New password"
        name="new-password"
        type="password"
        autoComplete="new-password"
        required
        {...length}
        value={next}
        onChange={(event) => setNext(event.target.value)}
        hint={`At least ${length.minLength} characters.`}
      />
      <TextField
        label="New password again"
        name="new-password-again"
        type="password"
        autoComplete="new-password"
        required
        value={again}
        onChange={(event) => setAgain(event.target.value)}
        error={differs ? 'This is not the same.' : undefined}
      />
      <Button type="submit" look="primary" busy={busy}>
        Change the password
      </Button>
      {children}
    </form>
  )
}
