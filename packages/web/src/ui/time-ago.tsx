import { useEffect, useState } from 'react'
import { formatAgo } from './format.ts'

/** A time told from now; it is kept true while it is shown. */
export const TimeAgo = ({ time, short = false, className }: { time: string; short?: boolean; className?: string }) => {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000)
    return () => clearInterval(timer)
  }, [])
  const text = formatAgo(time, now)
  return (
    <time dateTime={time} title={new Date(time).toLocaleString()} className={className}>
      {short ? text.replace(/ ago$/, '') : text}
    </time>
  )
}
