import type { Command } from 'commander'
import type { Act } from '../../act.ts'

/** What users may have, of two sorts that are shown and set in the same way. */
const allowances = [
  {
    name: 'quotas',
    what: 'what a user may have at a time, and has',
    examples: 'sessions=20, processes=off, prompts=100, connections=default, bytes=10g',
    load: () => import('./quotas.ts'),
  },
  {
    name: 'limits',
    what: "what each session's process may take of the machine",
    examples: 'memory=4g, cpus=1.5, pids=off, files=1024, processes=default, fileSize=1g, core=0',
    load: () => import('./limits.ts'),
  },
]

/** Shows and sets both. */
export const defineAllowances = (program: Command, act: Act): void => {
  for (const { name, what, examples: given, load } of allowances) {
    const group = program.command(name).description(`show and set ${what}`)
    group
      .command('show', { isDefault: true })
      .description(`show ${what}: yours, or a user's (administrators)`)
      .argument('[user]', 'name or id')
      .action(act(async () => (await load()).show))
    group
      .command('set')
      .description('set some for a user; the others stay (administrators)')
      .argument('<user>', 'name or id')
      .argument('<name=amount...>', given)
      .addHelpText('after', '\noff: no limit. default: as for everybody. Bytes with k, m, g or t.')
      .action(act(async () => (await load()).set))
    group
      .command('clear')
      .description('let a user have what everybody has (administrators)')
      .argument('<user>', 'name or id')
      .action(act(async () => (await load()).clear))
  }
}
