import { Link } from '@tanstack/react-router'
import { MapPinOff } from 'lucide-react'
import { buttonClass } from '../ui/button.tsx'
import { Empty } from '../ui/empty.tsx'
import { ErrorNote } from '../ui/error-note.tsx'

export const NotFound = () => (
  <main className="grid h-full place-items-center">
    <Empty icon={MapPinOff} title="There is no such page">
      <Link to="/sessions" className={buttonClass()}>
        Go to the sessions
      </Link>
    </Empty>
  </main>
)

/** The last resort: a part of the page threw, or could not be loaded. */
export const Failed = ({ error }: { error: unknown }) => (
  <main className="mx-auto grid max-w-xl gap-4 p-6">
    <h1 className="text-lg font-semibold">This part of the page failed</h1>
    <ErrorNote error={error} />
    <button type="button" className={buttonClass()} onClick={() => location.reload()}>
      Reload the page
    </button>
  </main>
)
