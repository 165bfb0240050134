import { useCallback, useEffect, useRef, useState, type RefObject } from 'react'

/** How near to the end counts as being there, in pixels. */
const near = 48

/**
 * Keeps a scroll area at its end while its content grows, until the reader scrolls up; back at the end it holds again.
 */
export const useStickToBottom = (area: RefObject<HTMLElement | null>, content: RefObject<HTMLElement | null>) => {
  const [stuck, setStuck] = useState(true)
  const holding = useRef(true)
  const lastTop = useRef(0)

  const hold = useCallback((next: boolean) => {
    holding.current = next
    setStuck(next)
  }, [])

  const jump = useCallback(() => {
    hold(true)
    const element = area.current
    if (element !== null) element.scrollTop = element.scrollHeight
  }, [area, hold])

  useEffect(() => {
    const element = area.current
    if (element === null || content.current === null) return
    const onScroll = () => {
      const distance = element.scrollHeight - element.scrollTop - element.clientHeight
      // Growing content moves the end away without a scroll upwards: only the reader does that.
      if (element.scrollTop < lastTop.current - 1 && distance > near) hold(false)
      else if (distance <= near) hold(true)
      lastTop.current = element.scrollTop
    }
    const observer = new ResizeObserver(() => {
      if (holding.current) element.scrollTop = element.scrollHeight
    })
    observer.observe(content.current)
    observer.observe(element)
    element.addEventListener('scroll', onScroll, { passive: true })
    return () => {
      observer.disconnect()
      element.removeEventListener('scroll', onScroll)
    }
  }, [area, content, hold])

  return { stuck, jump }
}
