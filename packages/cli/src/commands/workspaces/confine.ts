import { routes, type Confinement } from '@aicm/protocol'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findWorkspace, isWhole } from '../../find.ts'
import { fields } from '../../table.ts'

type ConfineFlags = { mount?: string[]; allowTool?: string[]; denyTool?: string[]; clear?: boolean }

const free: Confinement = { readOnlyMounts: [], allowedTools: [], disallowedTools: [] }

/** Shows what is set when nothing is to be. A list that is given takes the place of the one before, the others stay. */
export const confine = async (
  context: Context,
  given: string,
  { mount, allowTool, denyTool, clear }: ConfineFlags,
): Promise<ExitCode> => {
  const client = await context.client()
  // Another user's is not listed, but an administrator may confine it.
  const id = isWhole('wsp', given) ? given : (await findWorkspace(client, given)).id
  const params = { id }
  const said = {
    ...(mount === undefined ? {} : { readOnlyMounts: mount }),
    ...(allowTool === undefined ? {} : { allowedTools: allowTool }),
    ...(denyTool === undefined ? {} : { disallowedTools: denyTool }),
  }
  const was = clear === true ? free : await client.call(routes.workspaces.getConfinement, { params })
  const confinement =
    clear === true || Object.keys(said).length > 0
      ? await client.call(routes.workspaces.setConfinement, { params, body: { ...was, ...said } })
      : was
  if (context.json) context.out.json(confinement)
  else
    context.out.print(
      fields([
        ['workspace', id],
        ['may read besides', listText(confinement.readOnlyMounts)],
        ['tools that run unasked', listText(confinement.allowedTools)],
        ['tools that do not run', listText(confinement.disallowedTools)],
      ]),
    )
  return exitCodes.ok
}

const listText = (list: string[]): string => (list.length === 0 ? 'none' : list.join(', '))
