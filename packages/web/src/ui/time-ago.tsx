import { useEffect, useState } from 'react'
import { formatAgo } from './format.ts'

/** A time told from now; it is kept true while it is shown. */
export const TimeAgo = ({ time, className }: { time: string; className?: string }) => {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000)
    return () => clearInterval(timer)
  }, [])
  return (
    <time dateTime={time} title={new Date(time).toLocaleString()} className={className}>
      {formatAgo(time, Math.max(now, Date.now()))}
    </time>
  )
}
