import { useEffect, useState, useSyncExternalStore } from 'react'
import { useApp } from '../app/app.tsx'

/** The live conversation of a session, while the component that asks for it is on the page. */
export const useFeed = (sessionId: string) => {
  const { feeds } = useApp()
  const [feed] = useState(() => feeds.of(sessionId))
  const state = useSyncExternalStore(feed.subscribe, feed.state)
  useEffect(() => feed.follow(), [feed])
  return { ...state, again: feed.again }
}
