import type { Workspace } from '@aicm/protocol'
import { exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findWorkspace } from '../../find.ts'
import { ago, table } from '../../table.ts'

export const listAll = async (context: Context): Promise<ExitCode> => {
  const workspaces = await (await context.client()).workspaces.list()
  if (context.json) context.out.json(workspaces)
  else if (workspaces.length === 0) context.err.print('No workspaces. Create one: aicm workspaces create <name>')
  else {
    const rows = workspaces.map((workspace) => [
      workspace.name,
      workspace.id,
      workspace.status,
      ago(workspace.createdAt),
      originOf(workspace),
    ])
    context.out.print(table(['NAME', 'ID', 'STATUS', 'CREATED', 'FROM'], rows, context.out.style.bold))
  }
  return exitCodes.ok
}

const originOf = ({ source, gitUrl, path, error }: Workspace): string =>
  [source === 'empty' ? 'empty' : source === 'git' ? (gitUrl ?? 'git') : path, error ?? '']
    .filter((part) => part !== '')
    .join(': ')

type CreateFlags = { git?: string; branch?: string; path?: string }

export const create = async (context: Context, name: string, { git, branch, path }: CreateFlags): Promise<ExitCode> => {
  if (git !== undefined && path !== undefined)
    throw usageError('A workspace is a clone (--git) or a folder (--path), not both.')
  if (branch !== undefined && git === undefined) throw usageError('--branch goes with --git.')
  const workspace = await (
    await context.client()
  ).workspaces.create({
    name,
    ...(git === undefined ? {} : { gitUrl: git }),
    ...(branch === undefined ? {} : { branch }),
    ...(path === undefined ? {} : { path }),
  })
  if (context.json) context.out.json(workspace)
  else
    context.out.print(`${workspace.id}${workspace.status === 'cloning' ? ' (cloning; see: aicm workspaces ls)' : ''}`)
  return exitCodes.ok
}

export const remove = async (context: Context, given: string[]): Promise<ExitCode> => {
  const client = await context.client()
  const found = await Promise.all(given.map((one) => findWorkspace(client, one)))
  for (const { id, name } of new Map(found.map((workspace) => [workspace.id, workspace])).values()) {
    await client.workspaces.delete(id)
    if (context.json) context.out.json({ deleted: id })
    else context.out.print(`Deleted ${name}.`)
  }
  return exitCodes.ok
}
