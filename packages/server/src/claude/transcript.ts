import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Where claude keeps its conversations, below CLAUDE_CONFIG_DIR: a folder a workspace, a file a conversation. */
const projectsIn = (home: string): string => join(home, '.claude', 'projects')

/** Removes what claude wrote down of a conversation. `claudeSessionId` is a UUID (see decode). */
export const removeTranscript = async (home: string, claudeSessionId: string): Promise<void> => {
  const projects = projectsIn(home)
  for (const workspace of await readdir(projects).catch(() => []))
    for (const name of [`${claudeSessionId}.jsonl`, claudeSessionId])
      await rm(join(projects, workspace, name), { recursive: true, force: true })
}
