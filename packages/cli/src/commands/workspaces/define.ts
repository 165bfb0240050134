import type { Command } from 'commander'
import type { Act } from '../../act.ts'

/** The folders that sessions run in. */
export const defineWorkspaces = (program: Command, act: Act): void => {
  const workspaces = program.command('workspaces').description('list, create, confine and delete workspaces')
  workspaces
    .command('ls', { isDefault: true })
    .description('list your workspaces')
    .action(act(async () => (await import('./workspaces.ts')).listAll))
  workspaces
    .command('create')
    .description('create a workspace: empty, a clone, or an existing folder of the server')
    .argument('<name>', 'its name')
    .option('--git <url>', 'clone this repository')
    .option('--branch <branch>', 'of the repository')
    .option('--path <folder>', 'an existing folder inside one of the roots that the operator allows')
    .action(act(async () => (await import('./workspaces.ts')).create))
  workspaces
    .command('rm')
    .description('delete workspaces and their folders, except folders that were there before')
    .argument('<workspace...>', 'their names or ids')
    .action(act(async () => (await import('./workspaces.ts')).remove))

  workspaces
    .command('confine')
    .description('for administrators: set what sessions in a workspace may read and use; without flags: show it')
    .argument('<workspace>', "its name or id; another user's by its id")
    .option('--mount <path...>', 'folders and files of the server that they may read')
    .option('--allow-tool <rule...>', "tools that run unasked, in claude's words: Read, 'Bash(git log:*)'")
    .option('--deny-tool <rule...>', 'tools that do not run at all')
    .option('--clear', 'set nothing but what is given here')
    .addHelpText(
      'after',
      '\nEach list that is given takes the place of the one before. Processes that start later have it.',
    )
    .action(act(async () => (await import('./confine.ts')).confine))
}

/** What is in them. */
export const defineFiles = (program: Command, act: Act): void => {
  const files = program.command('files').description('list, get, put and remove files of a workspace')
  const ofWorkspace = (name: string, description: string) =>
    files.command(name).description(description).argument('<workspace>', 'its name or id')
  ofWorkspace('ls', 'list a folder')
    .argument('[path]', 'of the folder, in the workspace')
    .action(act(async () => (await import('./files.ts')).list))
  ofWorkspace('get', 'save a file here')
    .argument('<path>', 'of the file, in the workspace')
    .option('-o, --output <file>', 'where to; - prints it (default: its name, in this folder)')
    .option('-f, --force', 'replace a file that is there')
    .action(act(async () => (await import('./files.ts')).get))
  ofWorkspace('put', 'write a file from here')
    .argument('<file>', 'a file of this machine; - reads stdin')
    .argument('[path]', 'in the workspace (default: its name)')
    .option('--new', 'only if there is none of that name')
    .option('--if-match <etag>', 'only if it still has this ETag (see: aicm --json files ls)')
    .action(act(async () => (await import('./files.ts')).put))
  ofWorkspace('rm', 'remove files, links and empty folders')
    .argument('<path...>', 'in the workspace')
    .action(act(async () => (await import('./files.ts')).remove))
  ofWorkspace('mkdir', 'make a folder')
    .argument('<path>', 'in the workspace')
    .action(act(async () => (await import('./files.ts')).makeFolder))
}
