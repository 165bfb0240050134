import { AicmError } from '@aicm/client'
import { useMutation } from '@tanstack/react-query'
import { useEffect } from 'react'
import { toast } from 'sonner'
import { useApp } from '../app/app.tsx'
import { describeError } from '../ui/describe-error.ts'

/** Interrupts the running turn, by button or by Escape. */
export const useInterrupt = (sessionId: string, running: boolean) => {
  const { client } = useApp()
  const { mutate, isPending } = useMutation({
    mutationFn: () => client.session(sessionId).interrupt(),
    onError: (error) => {
      // It ended by itself in the meantime.
      if (error instanceof AicmError && error.code === 'no_turn_running') return
      const { message, hint } = describeError(error)
      toast.error(message, { description: hint })
    },
  })
  useEffect(() => {
    if (!running) return
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing || event.defaultPrevented) return
      // There Escape closes something. Asked before it is closed: this listener comes first.
      if (document.querySelector('[role=dialog], [role=alertdialog], [role=menu]') !== null) return
      if (event.target instanceof Element && event.target.closest('[data-own-escape]') !== null) return
      mutate()
    }
    document.addEventListener('keydown', onKeyDown, { capture: true })
    return () => document.removeEventListener('keydown', onKeyDown, { capture: true })
  }, [running, mutate])
  return { interrupt: () => mutate(), interrupting: isPending }
}
