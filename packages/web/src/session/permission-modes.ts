import type { PermissionMode } from '@aicm/protocol'

export const permissionModes: { value: PermissionMode; label: string; hint: string }[] = [
  { value: 'default', label: 'Ask', hint: 'Tools that change something ask you first.' },
  { value: 'acceptEdits', label: 'Accept edits', hint: 'Files are changed without asking; commands still ask.' },
  { value: 'plan', label: 'Plan', hint: 'It reads and plans, and changes nothing.' },
  { value: 'dontAsk', label: "Don't ask", hint: 'What is not allowed beforehand is refused instead of asked.' },
]

export const modeOf = (value: string) => permissionModes.find((mode) => mode.value === value)
