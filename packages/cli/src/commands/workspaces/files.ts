import { openAsBlob } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import type { Client } from '@aicm/client'
import type { FileEntry } from '@aicm/protocol'
import { CliError, exitCodes, usageError, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findWorkspace } from '../../find.ts'
import { createInert } from '../../inert.ts'
import { ago, table } from '../../table.ts'

const workspaceOf = async (context: Context, given: string): Promise<{ client: Client; id: string }> => {
  const client = await context.client()
  return { client, id: (await findWorkspace(client, given)).id }
}

const shown = ({ name, type, target }: FileEntry): string =>
  type === 'folder' ? `${name}/` : target === null ? name : `${name} -> ${target}`

export const list = async (context: Context, workspace: string, path = ''): Promise<ExitCode> => {
  const { client, id } = await workspaceOf(context, workspace)
  const entries: FileEntry[] = []
  let cursor: string | undefined
  do {
    const page = await client.files.list(id, { path, limit: 1000, ...(cursor === undefined ? {} : { cursor }) })
    entries.push(...page.entries)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined && !context.signal.aborted)
  if (context.json) context.out.json(entries)
  else if (entries.length === 0) context.err.print('No files.')
  else {
    const rows = entries.map((entry) => [entry.type, String(entry.size ?? '-'), ago(entry.modifiedAt), shown(entry)])
    context.out.print(table(['TYPE', 'BYTES', 'MODIFIED', 'NAME'], rows, context.out.style.bold))
  }
  return exitCodes.ok
}

const chunksOf = (body: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]: () => body[Symbol.asyncIterator](),
})

/** To a terminal what is in a file is text, and nothing that the terminal would obey. */
const print = async (context: Context, body: ReadableStream<Uint8Array>): Promise<void> => {
  const { stdout } = context.io
  const inert = createInert()
  const decoder = new TextDecoder()
  for await (const chunk of chunksOf(body)) {
    const piece = stdout.isTTY === true ? inert(decoder.decode(chunk, { stream: true })) : chunk
    // A reader that is gone is found out elsewhere.
    await new Promise<void>((resolve) => stdout.write(piece, () => resolve()))
    if (context.signal.aborted) return
  }
}

type GetFlags = { output?: string; force?: boolean }

export const get = async (
  context: Context,
  workspace: string,
  path: string,
  { output = basename(path), force = false }: GetFlags,
): Promise<ExitCode> => {
  const { client, id } = await workspaceOf(context, workspace)
  const { signal } = context
  const { body } = await client.files.read(id, path, { signal })
  if (output === '-') {
    await print(context, body)
    return exitCodes.ok
  }
  await using file = await open(output, force ? 'w' : 'wx').catch(async (cause: unknown) => {
    await body.cancel()
    throw cannotOpen(output, cause)
  })
  let bytes = 0
  try {
    for await (const chunk of chunksOf(body)) {
      await file.writeFile(chunk)
      bytes += chunk.length
    }
  } catch (error) {
    // Half a file looks like a whole one.
    await rm(output, { force: true })
    throw error
  }
  if (context.json) context.out.json({ file: output, bytes })
  else context.err.print(`${bytes} bytes in ${output}`)
  return exitCodes.ok
}

const cannotOpen = (path: string, cause: unknown): CliError => {
  const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
  return new CliError({
    code: exists ? 'file_exists' : 'local_file',
    message: exists ? `${path} exists.` : `${path} cannot be opened: ${cause instanceof Error ? cause.message : cause}`,
    hint: exists ? 'Replace it with --force, or name another file: -o FILE' : 'Check the path.',
    exitCode: exitCodes.failed,
  })
}

type PutFlags = { new?: boolean; ifMatch?: string }

export const put = async (
  context: Context,
  workspace: string,
  local: string,
  path: string | undefined,
  flags: PutFlags,
): Promise<ExitCode> => {
  if (local === '-' && path === undefined) throw usageError('What is read from stdin needs a path to be written to.')
  const content =
    local === '-'
      ? (Readable.toWeb(context.io.stdin) as ReadableStream<Uint8Array>)
      : await openAsBlob(local).catch((cause: unknown) => {
          throw cannotOpen(local, cause)
        })
  const { client, id } = await workspaceOf(context, workspace)
  const entry = await client.files.write(id, path ?? basename(local), content, {
    signal: context.signal,
    ...(flags.new === true && { onlyNew: true }),
    ...(flags.ifMatch === undefined ? {} : { ifMatch: flags.ifMatch }),
  })
  if (context.json) context.out.json(entry)
  else context.err.print(`${entry.size} bytes in ${path ?? basename(local)}`)
  return exitCodes.ok
}

export const remove = async (context: Context, workspace: string, paths: string[]): Promise<ExitCode> => {
  const { client, id } = await workspaceOf(context, workspace)
  for (const path of paths) {
    await client.files.remove(id, path)
    if (context.json) context.out.json({ removed: path })
    else context.err.print(`Removed ${path}`)
  }
  return exitCodes.ok
}

export const makeFolder = async (context: Context, workspace: string, path: string): Promise<ExitCode> => {
  const { client, id } = await workspaceOf(context, workspace)
  const entry = await client.files.makeFolder(id, path)
  if (context.json) context.out.json(entry)
  else context.err.print(`Made ${path}`)
  return exitCodes.ok
}
