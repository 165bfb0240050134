import { Menu as Base } from '@base-ui/react/menu'
import type { LucideIcon } from 'lucide-react'
import type { ReactElement, ReactNode } from 'react'

export const Menu = ({ trigger, children }: { trigger: ReactElement; children: ReactNode }) => (
  <Base.Root>
    <Base.Trigger render={trigger} />
    <Base.Portal>
      <Base.Positioner sideOffset={4} align="end" className="z-30 outline-hidden">
        <Base.Popup className="min-w-44 rounded-lg bg-surface p-1 text-sm shadow-float outline-hidden transition-opacity duration-100 data-ending-style:opacity-0 data-starting-style:opacity-0">
          {children}
        </Base.Popup>
      </Base.Positioner>
    </Base.Portal>
  </Base.Root>
)

type ItemProps = { icon: LucideIcon; onSelect: () => void; danger?: boolean; disabled?: boolean; children: ReactNode }

export const MenuItem = ({ icon: Icon, onSelect, danger = false, disabled = false, children }: ItemProps) => (
  <Base.Item
    onClick={onSelect}
    disabled={disabled}
    className={`flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 outline-hidden select-none data-disabled:opacity-50 ${
      danger ? 'text-danger data-highlighted:bg-danger-tint' : 'data-highlighted:bg-sunken'
    }`}
  >
    <Icon aria-hidden className="size-4 shrink-0" />
    {children}
  </Base.Item>
)

export const MenuLabel = ({ children }: { children: ReactNode }) => (
  <div className="border-b border-line px-2.5 pt-1 pb-2 text-[0.8125rem] text-muted">{children}</div>
)
