import { Option, type Command } from 'commander'
import type { Act } from '../../act.ts'

/** What the model API is paid with, and what it is used for. */
export const defineModelApi = (program: Command, act: Act): void => {
  const credentials = program.command('credentials').description('list, add and remove credentials for the model API')
  credentials
    .command('ls', { isDefault: true })
    .description('list yours; administrators see the shared ones too')
    .action(act(async () => (await import('./credentials.ts')).listAll))
  credentials
    .command('add')
    .description('add one; the secret is read from stdin, or typed unseen')
    .addOption(
      new Option('-k, --kind <kind>', 'what it is')
        .choices(['api-key', 'auth-token', 'oauth-token', 'oauth'])
        .default('api-key'),
    )
    .option('-n, --name <name>', 'a name for it')
    .option('--shared', 'it serves the sessions of all users (administrators; not a subscription)')
    .option('--upstream <url>', "where a shared one is sent to, if not to the server's own setting")
    .action(act(async () => (await import('./credentials.ts')).add))
  credentials
    .command('rm')
    .description('remove credentials')
    .argument('<credential...>', 'their ids')
    .action(act(async () => (await import('./credentials.ts')).remove))

  program
    .command('usage')
    .description('show what was used of the model API, by default this month')
    .option('--from <day>', 'like 2026-11-01')
    .option('--to <day>', 'this day too')
    .addOption(new Option('--by <group>', 'sums by').choices(['user', 'session', 'model', 'day']).default('day'))
    .option('--all', "everybody's (administrators)")
    .action(act(async () => (await import('./usage.ts')).usage))

  const budgets = program.command('budgets').description('show and set what may be spent')
  budgets
    .command('show', { isDefault: true })
    .description('show the budgets that count for you, and what is spent')
    .action(act(async () => (await import('./budgets.ts')).show))
  budgets
    .command('set')
    .description('set a budget (administrators)')
    .argument('<of>', 'server, everybody (each user), or the name or id of a user')
    .option('--day <budget>', '5usd, 100000tokens, 5usd,100000tokens, or none')
    .option('--month <budget>', 'the same for a month')
    .action(act(async () => (await import('./budgets.ts')).set))
}
