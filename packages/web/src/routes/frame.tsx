import { Link, Outlet, useNavigate } from '@tanstack/react-router'
import {
  Activity,
  BookOpen,
  KeyRound,
  LogOut,
  MessagesSquare,
  ShieldQuestion,
  UserRound,
  type LucideIcon,
} from 'lucide-react'
import type { ReactNode } from 'react'
import { Toaster } from 'sonner'
import { useApp, useLogin } from '../app/app.tsx'
import { DemoBanner } from '../app/demo-banner.tsx'
import { HealthBanner } from '../app/health-banner.tsx'
import { useApprovals } from '../app/use-approvals.ts'
import { Button } from '../ui/button.tsx'
import { Logo } from '../ui/logo.tsx'
import { Menu, MenuItem, MenuLabel } from '../ui/menu.tsx'

const navClass =
  'relative inline-flex h-9 min-w-9 items-center justify-center gap-1.5 rounded-md px-2 text-sm font-medium text-muted transition-colors hover:bg-sunken hover:text-ink aria-[current=page]:bg-tint aria-[current=page]:text-accent'

/** What is around every page but the log-in form. */
export const Frame = () => (
  <div className="flex h-dvh flex-col">
    <a
      href="#content"
      className="absolute -top-20 left-2 z-50 rounded-md bg-accent px-3 py-2 text-on-accent focus:top-2"
    >
      Skip to content
    </a>
    <header className="flex h-13 shrink-0 items-center gap-1 border-b border-line bg-surface px-3">
      <Link to="/sessions" className="mr-auto flex items-center gap-2 rounded-md font-semibold tracking-tight">
        <Logo />
        <span className="max-[26rem]:sr-only">AICode Manager</span>
      </Link>
      <nav aria-label="Main" className="flex items-center gap-0.5">
        <Link to="/sessions" className={navClass}>
          <NavText icon={MessagesSquare}>Sessions</NavText>
        </Link>
        <Link to="/approvals" className={navClass}>
          <NavText icon={ShieldQuestion}>Approvals</NavText>
          <ApprovalsBadge />
        </Link>
        <Link to="/health" className={navClass}>
          <NavText icon={Activity}>Health</NavText>
        </Link>
        <a href="/docs" className={navClass}>
          <NavText icon={BookOpen}>API</NavText>
        </a>
      </nav>
      <UserMenu />
    </header>
    <DemoBanner />
    <HealthBanner />
    <div id="content" tabIndex={-1} className="min-h-0 grow outline-hidden">
      <Outlet />
    </div>
    <Toaster
      position="top-right"
      offset={60}
      theme="system"
      closeButton
      toastOptions={{ style: { fontFamily: 'inherit', fontSize: '0.875rem' } }}
    />
  </div>
)

const NavText = ({ icon: Icon, children }: { icon: LucideIcon; children: ReactNode }) => (
  <>
    <Icon aria-hidden className="size-4.5 md:hidden" />
    <span className="max-md:sr-only">{children}</span>
  </>
)

const ApprovalsBadge = () => {
  const open = useApprovals().data?.length ?? 0
  return (
    <span role="status" className="contents">
      {open > 0 && (
        <span className="rounded-full bg-warn-tint px-1.5 text-xs leading-5 font-semibold text-warn tabular-nums max-md:absolute max-md:-top-0.5 max-md:-right-0.5 max-md:leading-4">
          {open}
          <span className="sr-only"> open</span>
        </span>
      )}
    </span>
  )
}

const UserMenu = () => {
  const { logOut } = useApp()
  const login = useLogin()
  const navigate = useNavigate()
  const leave = async () => {
    await logOut()
    // Whoever logs in next begins at the beginning; only a log-in that ended by itself knows the way back.
    void navigate({ to: '/login', search: {}, replace: true })
  }
  return (
    <Menu
      trigger={
        <Button look="quiet" size="icon" aria-label="User menu">
          <UserRound aria-hidden className="size-4.5" />
        </Button>
      }
    >
      <MenuLabel>
        Logged in as <b className="text-ink">{login?.username}</b>
      </MenuLabel>
      {login?.withoutPassword !== true && (
        <MenuItem icon={KeyRound} onSelect={() => void navigate({ to: '/change-password' })}>
          Change password
        </MenuItem>
      )}
      <MenuItem icon={LogOut} onSelect={() => void leave()}>
        Log out
      </MenuItem>
    </Menu>
  )
}
