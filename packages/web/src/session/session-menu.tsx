import type { Session } from '@aicm/protocol'
import { useNavigate, useParams } from '@tanstack/react-router'
import { CircleStop, Ellipsis, Pencil, Trash2 } from 'lucide-react'
import { useState } from 'react'
import { useCloseSession, useDeleteSession } from '../app/use-sessions.ts'
import { Button } from '../ui/button.tsx'
import { ConfirmDialog } from '../ui/dialog.tsx'
import { Menu, MenuItem } from '../ui/menu.tsx'
import { SettingsDialog } from './settings-dialog.tsx'

/** What can be done with a session as a whole: the same in the list and above the conversation. */
export const SessionMenu = ({ session, label = 'Session actions' }: { session: Session; label?: string }) => {
  const [dialog, setDialog] = useState<'settings' | 'close' | 'delete'>()
  const openId = useParams({ strict: false }).id
  const navigate = useNavigate()
  const close = useCloseSession()
  const remove = useDeleteSession()
  const none = () => setDialog(undefined)

  return (
    <>
      <Menu
        trigger={
          <Button look="quiet" size="smallIcon" aria-label={label}>
            <Ellipsis aria-hidden className="size-4" />
          </Button>
        }
      >
        <MenuItem icon={Pencil} onSelect={() => setDialog('settings')}>
          Rename and settings…
        </MenuItem>
        {session.status !== 'closed' && (
          <MenuItem icon={CircleStop} onSelect={() => setDialog('close')}>
            Close session…
          </MenuItem>
        )}
        <MenuItem icon={Trash2} danger onSelect={() => setDialog('delete')}>
          Delete…
        </MenuItem>
      </Menu>
      <SettingsDialog session={session} open={dialog === 'settings'} onClose={none} />
      <ConfirmDialog
        open={dialog === 'close'}
        onClose={none}
        title={`Close “${session.name}”?`}
        description="Its process ends, and so do a running turn and queued prompts. The conversation stays readable, but a closed session cannot be opened again."
        action="Close session"
        onConfirm={() => close.mutateAsync(session.id)}
      />
      <ConfirmDialog
        open={dialog === 'delete'}
        onClose={none}
        title={`Delete “${session.name}”?`}
        description="The conversation is removed for good. Its workspace and the files in it stay."
        action="Delete"
        onConfirm={async () => {
          await remove.mutateAsync(session.id)
          if (openId === session.id) await navigate({ to: '/sessions', search: true })
        }}
      />
    </>
  )
}
