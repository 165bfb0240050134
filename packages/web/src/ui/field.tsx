import { useId, type ComponentProps, type ReactNode } from 'react'

const control =
  'w-full rounded-md border border-line-strong/70 bg-surface px-3 text-ink outline-offset-0 hover:border-line-strong focus-visible:outline-2 focus-visible:outline-accent disabled:opacity-60 aria-invalid:border-danger'

export const inputClass = `${control} h-9 text-[0.9375rem]`

type Wrap = { label: string; hint?: ReactNode; error?: string | undefined }

const Frame = ({ id, label, hint, error, children }: Wrap & { id: string; children: ReactNode }) => (
  <div className="grid gap-1">
    <label htmlFor={id} className="text-sm font-medium">
      {label}
    </label>
    {children}
    {hint !== undefined && (
      <p id={`${id}-hint`} className="text-[0.8125rem] text-muted">
        {hint}
      </p>
    )}
    {error !== undefined && (
      <p id={`${id}-error`} className="text-[0.8125rem] text-danger">
        {error}
      </p>
    )}
  </div>
)

const described = (id: string, { hint, error }: Wrap) => ({
  'aria-describedby':
    [hint === undefined ? '' : `${id}-hint`, error === undefined ? '' : `${id}-error`].join(' ').trim() || undefined,
  'aria-invalid': error === undefined ? undefined : true,
})

export const TextField = ({ label, hint, error, className = '', ...rest }: ComponentProps<'input'> & Wrap) => {
  const id = useId()
  return (
    <Frame id={id} label={label} hint={hint} error={error}>
      <input id={id} {...described(id, { label, hint, error })} {...rest} className={`${inputClass} ${className}`} />
    </Frame>
  )
}

export const SelectField = ({ label, hint, error, className = '', ...rest }: ComponentProps<'select'> & Wrap) => {
  const id = useId()
  return (
    <Frame id={id} label={label} hint={hint} error={error}>
      <select id={id} {...described(id, { label, hint, error })} {...rest} className={`${inputClass} ${className}`} />
    </Frame>
  )
}
