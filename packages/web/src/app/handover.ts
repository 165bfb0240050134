/** What a program that waits on this machine is to be given, from behind the #. Never another address than its port of loopback. */
export type Handover = { port: number; href: string }

export const handoverIn = (hash: string): Handover | undefined => {
  const given = new URLSearchParams(hash.replace(/^#/, ''))
  const [code, state] = ['code', 'state'].map((name) => given.get(name) ?? '')
  const port = Number(given.get('port'))
  if (!code || !state || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined
  return { port, href: `http://127.0.0.1:${port}/?${new URLSearchParams({ code, state })}` }
}
