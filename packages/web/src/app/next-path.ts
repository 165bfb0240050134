/** Where to go after the log-in: only a path of this page, never another site. */
export const nextPath = (next: unknown): string => {
  if (typeof next !== 'string' || !/^\/(?![/\\])/.test(next) || /[\u0000-\u001f\\]/.test(next)) return '/sessions'
  return next.startsWith('/login') ? '/sessions' : next
}
