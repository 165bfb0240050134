import { LoaderCircle } from 'lucide-react'
import type { ComponentProps } from 'react'

const base =
  'inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md font-medium whitespace-nowrap transition-colors disabled:opacity-55 aria-disabled:opacity-55'

const looks = {
  primary: 'bg-accent text-on-accent hover:bg-accent-hover',
  plain: 'border border-line bg-surface text-ink hover:bg-sunken',
  quiet: 'text-muted hover:bg-sunken hover:text-ink',
  danger: 'border border-danger/40 bg-surface text-danger hover:bg-danger-tint',
} as const

const sizes = {
  medium: 'min-h-9 px-3.5 text-sm',
  small: 'min-h-8 px-2.5 text-[0.8125rem]',
  icon: 'size-9',
  smallIcon: 'size-8',
} as const

type Look = { look?: keyof typeof looks; size?: keyof typeof sizes }

/** The classes alone, for links that look like buttons. */
export const buttonClass = ({ look = 'plain', size = 'medium' }: Look = {}) => `${base} ${looks[look]} ${sizes[size]}`

type Props = ComponentProps<'button'> & Look & { busy?: boolean }

/** While `busy` it keeps its size and its focus, and does nothing. */
export const Button = ({ look, size, busy = false, className = '', children, onClick, ...rest }: Props) => (
  <button
    type="button"
    {...rest}
    aria-disabled={busy || undefined}
    aria-busy={busy || undefined}
    onClick={busy ? (event) => event.preventDefault() : onClick}
    className={`${buttonClass({ look, size })} relative ${className}`}
  >
    <span className={`contents ${busy ? '[&>*]:opacity-0' : ''}`}>{children}</span>
    {busy && (
      <span className="absolute inset-0 grid place-items-center rounded-md bg-inherit">
        <LoaderCircle aria-hidden className="spin size-4" />
      </span>
    )}
  </button>
)
