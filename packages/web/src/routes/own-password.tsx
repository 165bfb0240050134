import { useState, type FormEvent } from 'react'
import { useApp, useLogin } from '../app/app.tsx'
import { Button } from '../ui/button.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { TextField } from '../ui/field.tsx'
import { FrontPage } from '../ui/front-page.tsx'

/** The server's own limits. */
const length = { minLength: 12, maxLength: 1024 }

/** For whoever logs in with a password that somebody else has set: before anything else there is one of their own. */
export const OwnPasswordPage = () => {
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
      // The router leaves this page by itself: the log-in changed.
      await app.changePassword(current, next)
    } catch (cause) {
      app.noteError(cause)
      setError(cause)
      setBusy(false)
    }
  }

  return (
    <FrontPage>
      <form onSubmit={submit} className="grid gap-4 rounded-xl border border-line bg-surface p-5">
        <p className="text-sm text-muted">
          Somebody else has set the password of <b className="text-ink">{login?.username}</b>. Choose one of your own to
          go on.
        </p>
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
          hint="The one that you have just logged in with."
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
        <Button type="button" look="quiet" onClick={() => void app.logOut()}>
          Log out
        </Button>
      </form>
    </FrontPage>
  )
}
