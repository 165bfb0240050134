import type { Session } from '@aicm/protocol'
import { useState, type FormEvent } from 'react'
import { useCreateSession, useWorkspaces, type NewWorkspace } from '../app/use-sessions.ts'
import { Button } from '../ui/button.tsx'
import { Dialog } from '../ui/dialog.tsx'
import { ErrorNote } from '../ui/error-note.tsx'
import { SelectField, TextField } from '../ui/field.tsx'
import { ModelField } from './model-field.tsx'
import { modeOf, permissionModes } from './permission-modes.ts'

type Props = { open: boolean; onClose: () => void; onCreated: (session: Session) => void }

export const NewSessionDialog = ({ open, onClose, onCreated }: Props) => (
  <Dialog
    open={open}
    onClose={onClose}
    title="New session"
    description="A conversation with Claude in a folder on the server. Everything here is optional."
  >
    <NewSessionForm
      onCreated={(session) => {
        onClose()
        onCreated(session)
      }}
    />
  </Dialog>
)

const NewSessionForm = ({ onCreated }: { onCreated: (session: Session) => void }) => {
  const workspaces = useWorkspaces()
  const create = useCreateSession()
  const [name, setName] = useState('')
  const [place, setPlace] = useState('empty')
  const [workspaceName, setWorkspaceName] = useState('')
  const [gitUrl, setGitUrl] = useState('')
  const [branch, setBranch] = useState('')
  const [path, setPath] = useState('')
  const [model, setModel] = useState('')
  const [mode, setMode] = useState('default')

  const wanted = (): NewWorkspace => {
    if (place === 'empty') return { kind: 'empty' }
    if (place === 'git') return { kind: 'git', name: workspaceName, gitUrl, ...(branch === '' ? {} : { branch }) }
    if (place === 'folder') return { kind: 'folder', name: workspaceName, path }
    return { kind: 'existing', id: place }
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (create.isPending) return
    const permissionMode = modeOf(mode)?.value
    create.mutate(
      {
        workspace: wanted(),
        ...(name.trim() === '' ? {} : { name: name.trim() }),
        ...(model.trim() === '' ? {} : { model: model.trim() }),
        ...(permissionMode === undefined ? {} : { permissionMode }),
      },
      { onSuccess: onCreated },
    )
  }
  const existing = workspaces.data ?? []

  return (
    <form onSubmit={submit} className="grid gap-4">
      <TextField
        label="Name"
        value={name}
        maxLength={100}
        placeholder="Given by the server when empty"
        onChange={(event) => setName(event.target.value)}
      />
      <SelectField label="Workspace" value={place} onChange={(event) => setPlace(event.target.value)}>
        <option value="empty">A new, empty folder</option>
        <option value="git">Clone a git repository…</option>
        <option value="folder">A folder that exists on the server…</option>
        {existing.length > 0 && (
          <optgroup label="Your workspaces">
            {existing.map((workspace) => (
              <option key={workspace.id} value={workspace.id} disabled={workspace.status === 'failed'}>
                {workspace.name}
                {workspace.status === 'ready' ? '' : ` (${workspace.status})`}
              </option>
            ))}
          </optgroup>
        )}
      </SelectField>
      {(place === 'git' || place === 'folder') && (
        <TextField
          label="Workspace name"
          value={workspaceName}
          required
          maxLength={64}
          pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
          title="Letters, digits, dot, underscore and dash"
          onChange={(event) => setWorkspaceName(event.target.value)}
        />
      )}
      {place === 'git' && (
        <>
          <TextField
            label="Git URL"
            value={gitUrl}
            required
            maxLength={2000}
            placeholder="https://…"
            onChange={(event) => {
              const url = event.target.value
              const guess = /([A-Za-z0-9][\w.-]*?)(?:\.git)?\/?$/.exec(url)?.[1]
              setGitUrl(url)
              if (guess !== undefined) setWorkspaceName(guess.slice(0, 64))
            }}
          />
          <TextField
            label="Branch"
            value={branch}
            maxLength={200}
            placeholder="The repository's own"
            onChange={(event) => setBranch(event.target.value)}
          />
        </>
      )}
      {place === 'folder' && (
        <TextField
          label="Folder"
          value={path}
          required
          pattern="/.*"
          title="An absolute path"
          placeholder="/srv/projects/shop"
          hint="Inside one of the folders that the operator allows."
          onChange={(event) => setPath(event.target.value)}
        />
      )}
      <div className="grid gap-4 sm:grid-cols-2">
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
      </div>
      {create.error !== null && <ErrorNote error={create.error} />}
      <div className="flex items-center justify-end gap-3">
        {create.isPending && place === 'git' && (
          <p role="status" className="text-sm text-muted">
            Cloning…
          </p>
        )}
        <Button type="submit" look="primary" busy={create.isPending}>
          Create session
        </Button>
      </div>
    </form>
  )
}
