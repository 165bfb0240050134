import type { Session } from '@aicm/protocol'
import { useState, type FormEvent } from 'react'
import { useUpdateSession } from '../app/use-sessions.ts'
import { Button } from '../ui/button.tsx'
import { Dialog } from '../ui/dialog.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { SelectField, TextField } from '../ui/field.tsx'
import { ModelField } from './model-field.tsx'
import { modeOf, permissionModes } from './permission-modes.ts'

type Props = { session: Session; open: boolean; onClose: () => void }

export const SettingsDialog = ({ session, open, onClose }: Props) => (
  <Dialog open={open} onClose={onClose} title="Rename and settings">
    <SettingsForm session={session} onSaved={onClose} />
  </Dialog>
)

const SettingsForm = ({ session, onSaved }: { session: Session; onSaved: () => void }) => {
  const update = useUpdateSession()
  const [name, setName] = useState(session.name)
  const [model, setModel] = useState(session.model ?? '')
  const [mode, setMode] = useState<string>(session.permissionMode)

  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (update.isPending) return
    const permissionMode = modeOf(mode)?.value
    const changes = {
      ...(name.trim() === session.name ? {} : { name: name.trim() }),
      ...(model.trim() === '' || model.trim() === session.model ? {} : { model: model.trim() }),
      ...(permissionMode === undefined || permissionMode === session.permissionMode ? {} : { permissionMode }),
    }
    if (Object.keys(changes).length === 0) return onSaved()
    update.mutate({ id: session.id, ...changes }, { onSuccess: onSaved })
  }

  return (
    <form onSubmit={submit} className="grid gap-4">
      <TextField label="Name" value={name} required maxLength={100} onChange={(event) => setName(event.target.value)} />
      {session.status !== 'closed' && (
        <>
          <ModelField value={model} onChange={setModel} />
          <SelectField
            label="Permissions"
            value={mode}
            hint={modeOf(mode)?.hint}
            onChange={(event) => setMode(event.target.value)}
          >
            {permissionModes.map(({ value, label }) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </SelectField>
          <p className="text-sm text-muted">Model and permissions take effect with the next prompt.</p>
        </>
      )}
      {update.error !== null && <ErrorNote error={update.error} />}
      <div className="flex justify-end">
        <Button type="submit" look="primary" busy={update.isPending}>
          Save
        </Button>
      </div>
    </form>
  )
}
