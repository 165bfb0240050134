import { Option, type Command } from 'commander'
import type { Act } from '../../act.ts'
import { positive, wholeNumber } from '../../whole-number.ts'

/** The record of who did what. */
export const defineAudit = (program: Command, act: Act): void => {
  const audit = program.command('audit').description('read, export and check the record of who did what')
  const filtered = (command: Command) =>
    command
      .option('--user <id|name>', 'only what this user did')
      .option('--action <action>', 'only this, e.g. auth.login')
      .option('--target <id>', 'only on this')
      .addOption(new Option('--result <result>', 'only with this result').choices(['ok', 'refused', 'failed']))
      .option('--from <time>', 'not before, e.g. 2026-03-01 or 2026-03-01T12:00:00Z')
      .option('--to <time>', 'not after')
      .addOption(new Option('--after <seq>', 'only entries behind this one').argParser(wholeNumber))
  filtered(audit.command('ls', { isDefault: true }))
    .description('show the newest entries, the newest last')
    .addOption(new Option('-n, --limit <number>', 'at most so many').argParser(positive).default(50))
    .action(act(async () => (await import('./audit.ts')).list))
  filtered(audit.command('export'))
    .description('write all entries to stdout, oldest first')
    .addOption(new Option('--format <format>', 'how').choices(['ndjson', 'csv']).default('ndjson'))
    .action(act(async () => (await import('./audit.ts')).exportAll))
  audit
    .command('verify')
    .description('fetch the log and check here that nothing in it was changed (exit code 1: it was)')
    .addOption(
      new Option('--after <seq>', 'check only what follows this entry, and take that one as it is').argParser(
        wholeNumber,
      ),
    )
    .option('--expect <seq:hash>', 'a head that was noted earlier: it must be in the log')
    .option('--file <export>', 'check an export (ndjson) instead, without a server')
    .action(act(async () => (await import('./audit-verify.ts')).verify))
  audit
    .command('head')
    .description('print where the log ends: keep it elsewhere, for aicm audit verify --expect')
    .action(act(async () => (await import('./audit.ts')).head))
}
