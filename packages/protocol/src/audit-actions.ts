import type { Route } from './route.ts'
import { routes } from './routes.ts'

type Routes = typeof routes
type RouteAction = { [Group in keyof Routes]: `${Group}.${keyof Routes[Group] & string}` }[keyof Routes]

/** What is done by no route, or by more than one. */
export const otherActions = {
  'server.start': 'The server started, with these settings',
  'server.stop': 'The server was asked to stop',
  'server.rebuild': 'The database was damaged, and was rebuilt',
  'server.first_admin': 'The first account was made',
  'server.certificate': 'A new certificate was used from then on, or could not be used',
  'server.signing_key': 'A signing key that had been replaced was removed: what it had signed was good no longer',
  'guard.blocked': 'Nothing was served to a source of requests for some time: too many of them had been refused',
  'sessions.ended':
    'The server closed a session by itself: nobody had used it for long, or its process failed in vain again',
  'logins.ended': 'The server ended a login by itself: a refresh token was used twice, or a newer login needed room',
  'credentials.renewed': "The server renewed a subscription's tokens by itself",
  'ws.connect': 'A WebSocket was opened, or refused',
  'ws.message': 'Something else on a WebSocket was refused',
  'http.other': 'A request to no route of the API was refused',
  'audit.gap': 'Entries are missing, or are not those that were written',
  'audit.lost': 'So many acts could not be written down',
} as const

/** Everything that the audit log may say was done. A route is an action by itself: `<group>.<name>` in `routes`. */
export type AuditAction = RouteAction | keyof typeof otherActions

const actions = new Map(
  Object.entries(routes).flatMap(([group, members]) =>
    Object.entries<Route>(members).map(([name, { id }]) => [id, `${group}.${name}` as AuditAction] as const),
  ),
)

export const auditActions: readonly AuditAction[] = [
  ...actions.values(),
  ...(Object.keys(otherActions) as (keyof typeof otherActions)[]),
]

/** By the route's id. */
export const actionOfRoute = (id: string | undefined): AuditAction | undefined =>
  id === undefined ? undefined : actions.get(id)
