import { Check, Copy } from 'lucide-react'
import { useState } from 'react'
import { toast } from 'sonner'
import { Button } from './button.tsx'

export const CopyButton = ({ text, label }: { text: () => string; label: string }) => {
  const [done, setDone] = useState(false)
  const copy = async () => {
    try {
      await copyText(text())
      setDone(true)
      setTimeout(() => setDone(false), 1500)
    } catch {
      toast.error('The browser does not allow copying here. Select the text instead.')
    }
  }
  return (
    <Button look="quiet" size="smallIcon" aria-label={done ? 'Copied' : label} title={label} onClick={copy}>
      {done ? <Check aria-hidden className="size-3.5 text-ok" /> : <Copy aria-hidden className="size-3.5" />}
    </Button>
  )
}

/** `navigator.clipboard` exists on https and localhost only; a server in the local network is neither. */
const copyText = async (text: string): Promise<void> => {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.style.position = 'fixed'
  area.style.opacity = '0'
  document.body.append(area)
  area.select()
  const copied = document.execCommand('copy')
  area.remove()
  if (!copied) throw new Error('Copying was refused')
}
