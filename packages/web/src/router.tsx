import type { SessionStatus } from '@aicm/protocol'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import type { App } from './app/app.tsx'
import { nextPath } from './app/next-path.ts'
import { Failed, NotFound } from './routes/failed.tsx'
import { LoginPage } from './routes/login.tsx'
import { statuses } from './ui/status.tsx'

const root = createRootRouteWithContext<{ app: App }>()({ component: Outlet, notFoundComponent: NotFound })

const nextSearch = (search: Record<string, unknown>): { next?: string } =>
  typeof search['next'] === 'string' ? { next: search['next'] } : {}

const login = createRoute({
  getParentRoute: () => root,
  path: '/login',
  validateSearch: nextSearch,
  beforeLoad: ({ context, search }) => {
    if (context.app.auth.current() !== undefined) throw redirect({ href: nextPath(search.next), replace: true })
  },
  component: LoginPage,
})

const loginCli = createRoute({
  getParentRoute: () => root,
  path: '/login/cli',
  component: lazyRouteComponent(() => import('./routes/login-cli.tsx'), 'LoginCliPage'),
})

const ownPassword = createRoute({
  getParentRoute: () => root,
  path: '/password',
  validateSearch: nextSearch,
  beforeLoad: ({ context, search }) => {
    if (context.app.auth.current()?.mustChangePassword !== true)
      throw redirect({ href: nextPath(search.next), replace: true })
  },
  component: lazyRouteComponent(() => import('./routes/own-password.tsx'), 'OwnPasswordPage'),
})

/** Everything but the log-in form. */
const inside = createRoute({
  getParentRoute: () => root,
  id: 'inside',
  beforeLoad: ({ context, location }) => {
    const current = context.app.auth.current()
    if (current === undefined || current.mustChangePassword === true) {
      const search = location.href === '/' ? {} : { next: location.href }
      throw redirect({ to: current === undefined ? '/login' : '/password', search, replace: true })
    }
  },
  component: lazyRouteComponent(() => import('./routes/frame.tsx'), 'Frame'),
})

const home = createRoute({
  getParentRoute: () => inside,
  path: '/',
  beforeLoad: () => {
    throw redirect({ to: '/sessions', replace: true })
  },
})

const isStatus = (value: unknown): value is SessionStatus => statuses.some((status) => status === value)

const sessions = createRoute({
  getParentRoute: () => inside,
  path: '/sessions',
  validateSearch: (search): { status?: SessionStatus; q?: string } => ({
    ...(isStatus(search.status) ? { status: search.status } : {}),
    ...(search.q === undefined || search.q === '' ? {} : { q: String(search.q).slice(0, 200) }),
  }),
  component: lazyRouteComponent(() => import('./routes/sessions.tsx'), 'SessionsPage'),
})

const sessionsIndex = createRoute({
  getParentRoute: () => sessions,
  path: '/',
  component: lazyRouteComponent(() => import('./routes/sessions.tsx'), 'SessionsIndex'),
})

const session = createRoute({
  getParentRoute: () => sessions,
  path: '$id',
  component: lazyRouteComponent(() => import('./routes/session.tsx'), 'SessionPage'),
})

const approvals = createRoute({
  getParentRoute: () => inside,
  path: '/approvals',
  component: lazyRouteComponent(() => import('./routes/approvals.tsx'), 'ApprovalsPage'),
})
const health = createRoute({
  getParentRoute: () => inside,
  path: '/health',
  component: lazyRouteComponent(() => import('./routes/health.tsx'), 'HealthPage'),
})

const changePassword = createRoute({
  getParentRoute: () => inside,
  path: '/change-password',
  component: lazyRouteComponent(() => import('./routes/own-password.tsx'), 'ChangePasswordPage'),
})

const tree = root.addChildren([
  login,
  loginCli,
  ownPassword,
  inside.addChildren([home, sessions.addChildren([sessionsIndex, session]), approvals, health, changePassword]),
])

export const createAppRouter = (app: App) =>
  createRouter({
    routeTree: tree,
    context: { app },
    defaultPreload: 'intent',
    defaultErrorComponent: Failed,
    // The parts that scroll are inside the page.
    scrollRestoration: false,
  })

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>
  }
}
