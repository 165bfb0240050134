import { useEffect, useState } from 'react'
import { handoverIn } from '../app/handover.ts'
import { buttonClass } from '../ui/button.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { FrontPage } from '../ui/front-page.tsx'

/** Asks before a program on this machine gets a log-in: somebody else may have sent this browser here. */
export const LoginCliPage = () => {
  const [handover] = useState(() => handoverIn(location.hash))

  // The code works once: the history shall not keep it.
  useEffect(() => history.replaceState(history.state, '', location.pathname), [])

  return (
    <FrontPage>
      <div className="grid gap-4 rounded-xl border border-line bg-surface p-5">
        {handover === undefined ? (
          <ErrorNote error={new Error('There is no log-in to go on with. Start it again: aicm login --oidc')} />
        ) : (
          <>
            <h2 className="font-medium">Log in the command line?</h2>
            <p className="text-sm">
              A program on this machine (port {handover.port}) asks to act as you. Go on only if you have just started{' '}
              <code className="font-mono">aicm login --oidc</code> yourself; else close this page.
            </p>
            <a href={handover.href} className={buttonClass({ look: 'primary' })}>
              Log in the command line
            </a>
          </>
        )}
      </div>
    </FrontPage>
  )
}
