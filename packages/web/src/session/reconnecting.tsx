import { WifiOff } from 'lucide-react'
import { useEffect, useState, useSyncExternalStore } from 'react'
import { useApp } from '../app/app.tsx'

/** Says that the stream is away. */
export const Reconnecting = () => {
  const { connection } = useApp().client
  const { state } = useSyncExternalStore(connection.onChange, connection.state)
  return (
    <span role="status" className="contents">
      {(state === 'waiting' || state === 'connecting') && <Away />}
    </span>
  )
}

/** A connection that is back within a second is not worth a word. */
const Away = () => {
  const [shown, setShown] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setShown(true), 1000)
    return () => clearTimeout(timer)
  }, [])
  if (!shown) return null
  return (
    <span className="inline-flex items-center gap-1.5 rounded-full bg-warn-tint px-2 text-[0.8125rem] leading-6 whitespace-nowrap text-warn">
      <WifiOff aria-hidden className="size-3.5" /> Reconnecting…
    </span>
  )
}
