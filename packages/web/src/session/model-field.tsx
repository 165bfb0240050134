import { useId } from 'react'
import { TextField } from '../ui/field.tsx'

/** Any model's name; the suggestions are the CLI's own aliases. */
export const ModelField = ({ value, onChange }: { value: string; onChange: (value: string) => void }) => {
  const list = useId()
  return (
    <>
      <TextField
        label="Model"
        value={value}
        list={list}
        maxLength={128}
        pattern="[A-Za-z0-9][A-Za-z0-9._:\/@\[\]\-]*"
        title="A model name or alias, without spaces"
        placeholder="The CLI's default"
        autoCapitalize="none"
        spellCheck={false}
        hint="A name or an alias, as the CLI takes it."
        onChange={(event) => onChange(event.target.value)}
      />
      <datalist id={list}>
        <option value="sonnet" />
        <option value="opus" />
        <option value="haiku" />
      </datalist>
    </>
  )
}
