import { useLayoutEffect, useRef, useState, type RefObject } from 'react'

/** So many turns are drawn at first, and so many more each time the reader comes to the top. */
const step = 20

type Options<T> = {
  items: readonly T[]
  /** The items of the past are all there. */
  ready: boolean
  area: RefObject<HTMLElement | null>
  content: RefObject<HTMLElement | null>
}

/**
 * The newest part of a long conversation, and a way to show more of it. What the reader looks at stays in its place when
 * earlier turns come before it, and nothing that was shown goes away when new ones come after it.
 */
export const useLatest = <T>({ items, ready, area, content }: Options<T>) => {
  const [hidden, setHidden] = useState<number>()
  if (hidden === undefined && ready) setHidden(Math.max(0, items.length - step))
  const kept = useRef<{ element: Element; top: number }>(undefined)

  const showEarlier = () => {
    const element = content.current?.querySelector('article')
    if (element != null) kept.current = { element, top: element.getBoundingClientRect().top }
    setHidden((now = 0) => Math.max(0, now - step))
  }
  useLayoutEffect(() => {
    const before = kept.current
    kept.current = undefined
    if (before === undefined || area.current === null) return
    area.current.scrollTop += before.element.getBoundingClientRect().top - before.top
  })

  return { latest: hidden === 0 ? items : items.slice(hidden), hidden: hidden ?? 0, showEarlier }
}
