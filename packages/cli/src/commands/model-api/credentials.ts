import { routes, type Credential } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { readAll, readSecret } from '../../read-input.ts'
import { ago, table } from '../../table.ts'

export const listAll = async (context: Context): Promise<ExitCode> => {
  const { credentials } = await (await context.client()).call(routes.credentials.list, {})
  if (context.json) context.out.json(credentials)
  else if (credentials.length === 0) context.err.print('No credentials. Add one: aicm credentials add')
  else {
    const rows = credentials.map((credential) => [
      credential.name,
      credential.id,
      credential.kind,
      credential.hint === '' ? '' : `…${credential.hint}`,
      credential.shared ? 'everybody' : 'you',
      stateOf(credential),
      credential.lastUsedAt === null ? 'never' : ago(credential.lastUsedAt),
    ])
    const head = ['NAME', 'ID', 'KIND', 'SECRET', 'SERVES', 'STATE', 'USED']
    context.out.print(table(head, rows, context.out.style.bold))
  }
  return exitCodes.ok
}

const stateOf = ({ state, until }: Credential): string => (until === null ? state : `${state} until ${until}`)

type AddFlags = {
  kind: Credential['kind']
  name?: string
  shared?: boolean
  upstream?: string
}

/** The secret comes from stdin or is typed unseen: what stands in a command line can be read by every user of the machine. */
export const add = async (context: Context, { kind, ...options }: AddFlags): Promise<ExitCode> => {
  const secret = await readCredential(context, kind)
  if (secret === '') throw usageError('The secret is empty.')
  const created = await (
    await context.client()
  ).call(routes.credentials.create, {
    body: { kind, ...(kind === 'oauth' ? { refreshToken: secret } : { value: secret }), ...options },
  })
  if (context.json) context.out.json(created)
  else
    context.out.print(
      `${created.id} (${created.kind}, …${created.hint}) serves ${created.shared ? 'everybody' : 'you'}.`,
    )
  return exitCodes.ok
}

const readCredential = async ({ io }: Context, kind: Credential['kind']): Promise<string> => {
  const what = kind === 'oauth' ? 'refresh token' : kind
  if (io.stdin.isTTY === true) return readSecret(`The ${what}: `, io.stdin, io.stderr)
  return ((await readAll(io.stdin)) ?? '').trim()
}

export const remove = async (context: Context, ids: string[]): Promise<ExitCode> => {
  const client = await context.client()
  for (const id of ids) {
    await client.call(routes.credentials.delete, { params: { id } })
    if (context.json) context.out.json({ deleted: id })
    else context.out.print(`Removed ${id}.`)
  }
  return exitCodes.ok
}
