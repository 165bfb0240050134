import { AlertDialog } from '@base-ui/react/alert-dialog'
import { Dialog as Base } from '@base-ui/react/dialog'
import { X } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { Button } from './button.tsx'
import { ErrorNote } from './error-note.tsx'

const backdrop =
  'fixed inset-0 z-40 bg-black/35 transition-opacity duration-150 data-ending-style:opacity-0 data-starting-style:opacity-0 dark:bg-black/60'
const popup =
  'fixed inset-x-3 top-[max(1rem,8vh)] z-50 mx-auto flex max-h-[84vh] max-w-md flex-col rounded-xl bg-surface shadow-float transition-[opacity,scale] duration-150 data-ending-style:scale-[0.98] data-ending-style:opacity-0 data-starting-style:scale-[0.98] data-starting-style:opacity-0'

type Props = { open: boolean; onClose: () => void; title: string; description?: string; children: ReactNode }

export const Dialog = ({ open, onClose, title, description, children }: Props) => (
  <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
    <Base.Portal>
      <Base.Backdrop className={backdrop} />
      <Base.Popup className={popup}>
        <div className="flex items-start gap-3 px-5 pt-4">
          <div className="grow">
            <Base.Title className="text-lg font-semibold">{title}</Base.Title>
            {description !== undefined && (
              <Base.Description className="mt-0.5 text-sm text-muted">{description}</Base.Description>
            )}
          </div>
          <Base.Close render={<Button look="quiet" size="smallIcon" aria-label="Close" className="-mr-1.5" />}>
            <X aria-hidden className="size-4" />
          </Base.Close>
        </div>
        <div className="overflow-y-auto px-5 pt-4 pb-5">{children}</div>
      </Base.Popup>
    </Base.Portal>
  </Base.Root>
)

type ConfirmProps = {
  open: boolean
  onClose: () => void
  title: string
  description: string
  action: string
  /** The dialog closes when it succeeds, and shows the error when it does not. */
  onConfirm: () => Promise<unknown>
}

/** Asks before something that cannot be undone. */
export const ConfirmDialog = ({ open, onClose, title, description, action, onConfirm }: ConfirmProps) => {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const close = () => {
    setError(undefined)
    onClose()
  }
  const confirm = async () => {
    setBusy(true)
    setError(undefined)
    try {
      await onConfirm()
      close()
    } catch (cause) {
      setError(cause)
    } finally {
      setBusy(false)
    }
  }
  return (
    <AlertDialog.Root open={open} onOpenChange={(next) => !next && close()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className={backdrop} />
        <AlertDialog.Popup className={popup}>
          <div className="grid gap-4 p-5">
            <div>
              <AlertDialog.Title className="text-lg font-semibold">{title}</AlertDialog.Title>
              <AlertDialog.Description className="mt-1 text-sm text-muted">{description}</AlertDialog.Description>
            </div>
            {error !== undefined && <ErrorNote error={error} />}
            <div className="flex justify-end gap-2">
              <AlertDialog.Close render={<Button />}>Cancel</AlertDialog.Close>
              <Button look="danger" busy={busy} onClick={confirm}>
                {action}
              </Button>
            </div>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
