import type { LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'

/** Nothing here yet, and what to do about it. */
export const Empty = ({ icon: Icon, title, children }: { icon: LucideIcon; title: string; children?: ReactNode }) => (
  <div className="mx-auto grid max-w-sm justify-items-center gap-2 px-6 py-10 text-center">
    <Icon aria-hidden strokeWidth={1.5} className="size-8 text-muted" />
    <p className="font-semibold">{title}</p>
    <div className="grid justify-items-center gap-3 text-sm text-muted">{children}</div>
  </div>
)
