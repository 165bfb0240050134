import { useLayoutEffect, useRef, useState, type RefObject } from 'react'

/** So many turns are drawn at first, and so many more each time the reader comes to the top. */
const step = 20

/**
 * The newest part of a long list, and a way to show more of it. `content` holds one element for each shown item at its end;
 * what the reader looks at stays in its place when earlier ones come before it.
 */
export const useLatest = <T>(
  items: readonly T[],
  area: RefObject<HTMLElement | null>,
  content: RefObject<HTMLElement | null>,
) => {
  const [limit, setLimit] = useState(step)
  const kept = useRef<{ element: Element; top: number }>(undefined)
  const hidden = Math.max(0, items.length - limit)

  const showEarlier = () => {
    const element = content.current?.querySelector('article')
    if (element != null) kept.current = { element, top: element.getBoundingClientRect().top }
    setLimit((now) => now + step)
  }
  useLayoutEffect(() => {
    const before = kept.current
    kept.current = undefined
    if (before === undefined || area.current === null) return
    area.current.scrollTop += before.element.getBoundingClientRect().top - before.top
  }, [area, limit])

  return { latest: hidden === 0 ? items : items.slice(hidden), hidden, showEarlier }
}
