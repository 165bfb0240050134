import { routes } from '@aicm/protocol'
import { useQuery } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { useEffect, useState, type FormEvent } from 'react'
import { useApp } from '../app/app.tsx'
import { nextPath } from '../app/next-path.ts'
import { oidcAnswerIn } from '../app/oidc-answer.ts'
import { Button, buttonClass } from '../ui/button.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { TextField } from '../ui/field.tsx'
import { FrontPage } from '../ui/front-page.tsx'

export const LoginPage = () => {
  const app = useApp()
  const { next } = useSearch({ from: '/login' })
  const [username, setUsername] = useState('admin')
  const [password, setPassword] = useState('')
  const [answer] = useState(() => oidcAnswerIn(location.hash))
  const code = answer !== undefined && 'code' in answer ? answer.code : undefined
  const [busy, setBusy] = useState(code !== undefined)
  const [error, setError] = useState<unknown>(answer !== undefined && 'error' in answer ? answer.error : undefined)

  const oidc = useQuery({ queryKey: ['oidc'], queryFn: () => app.client.call(routes.oidc.status, {}) })

  useEffect(() => {
    if (oidcAnswerIn(location.hash) === undefined) return
    // A code works once: neither a second look nor the history shall find it.
    history.replaceState(history.state, '', location.pathname + location.search)
    if (code === undefined) return
    app.finishOidc(code).catch((cause: unknown) => {
      setError(cause)
      setBusy(false)
    })
  }, [app, code])

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (busy) return
    setBusy(true)
    setError(undefined)
    try {
      // The router leaves this page by itself: the log-in changed.
      await app.logIn(username.trim(), password)
    } catch (cause) {
      setError(cause)
      setBusy(false)
    }
  }

  return (
    <FrontPage>
      <form onSubmit={submit} className="grid gap-4 rounded-xl border border-line bg-surface p-5">
        {next !== undefined && error === undefined && (
          <p className="text-sm text-muted">Log in to go on where you were.</p>
        )}
        {error !== undefined && <ErrorNote error={error} />}
        <TextField
          label="User name"
          name="username"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          maxLength={100}
          value={username}
          onChange={(event) => setUsername(event.target.value)}
        />
        <TextField
          label="Password"
          name="password"
          type="password"
          autoComplete="current-password"
          required
          autoFocus
          maxLength={1024}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
          hint="The first password of admin is printed by the server at its first start."
        />
        <Button type="submit" look="primary" busy={busy}>
          Log in
        </Button>
        {oidc.data?.enabled === true && (
          <a
            href={`${routes.oidc.start.path}${next === undefined ? '' : `?${new URLSearchParams({ next: nextPath(next) })}`}`}
            className={buttonClass()}
          >
            Log in with {oidc.data.name}
          </a>
        )}
      </form>
      <p className="mt-4 text-sm text-muted">
        <a href="/docs" className="underline underline-offset-2 hover:text-ink">
          API reference
        </a>
      </p>
    </FrontPage>
  )
}
