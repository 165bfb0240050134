import type { Client } from '@aicm/client'
import type { AmountKinds } from '@aicm/protocol'
import { changeAmounts, type Amounts } from '../../amounts.ts'
import { exitCodes, type ExitCode } from '../../cli-error.ts'
import type { Context } from '../../context.ts'
import { findUser } from '../../find.ts'
import { table } from '../../table.ts'

/** What users may have, of one sort: the server's setting, and what differs from it for a user. */
type Allowances<Name extends string, View extends object> = {
  kinds: AmountKinds<Name>
  /** Above `cells`. */
  head: string[]
  cells(view: View, name: Name): string[]
  mine(client: Client): Promise<View>
  /** For administrators. */
  of(client: Client, userId: string): Promise<View & { changes: Amounts<Name> }>
  set(client: Client, userId: string, changes: Amounts<Name>): Promise<View & { changes: Amounts<Name> }>
}

/** The commands that show and set them. */
export const allowanceCommands = <Name extends string, View extends object>({
  kinds,
  head,
  cells,
  ...calls
}: Allowances<Name, View>) => {
  const print = (context: Context, view: View, setFor?: (name: Name) => string): ExitCode => {
    if (context.json) context.out.json(view)
    else {
      const rows = kinds.names.map((name) => [
        ...[name, ...cells(view, name)],
        ...(setFor === undefined ? [] : [setFor(name)]),
      ])
      const columns = [...head, ...(setFor === undefined ? [] : ['SET FOR'])]
      context.out.print(table(columns, rows, context.out.style.bold))
    }
    return exitCodes.ok
  }
  const printFor = (context: Context, username: string, view: View & { changes: Amounts<Name> }): ExitCode =>
    print(context, view, (name) => (view.changes[name] === undefined ? 'everybody' : username))

  return {
    show: async (context: Context, user?: string): Promise<ExitCode> => {
      const client = await context.client()
      if (user === undefined) return print(context, await calls.mine(client))
      const { id, username } = await findUser(client, user)
      return printFor(context, username, await calls.of(client, id))
    },
    /** What is not said stays. */
    set: async (context: Context, user: string, said: string[]): Promise<ExitCode> => {
      const client = await context.client()
      const { id, username } = await findUser(client, user)
      const { changes } = await calls.of(client, id)
      return printFor(context, username, await calls.set(client, id, changeAmounts(kinds, changes, said)))
    },
    clear: async (context: Context, user: string): Promise<ExitCode> => {
      const client = await context.client()
      const { id, username } = await findUser(client, user)
      return printFor(context, username, await calls.set(client, id, {}))
    },
  }
}
