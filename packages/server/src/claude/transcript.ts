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

/** Every conversation that claude has written down in this home. */
export const listTranscripts = async (home: string): Promise<{ claudeSessionId: string; path: string }[]> => {
  const projects = projectsIn(home)
  const found = []
  for (const workspace of await readdir(projects).catch(() => []))
    for (const name of await readdir(join(projects, workspace)).catch(() => []))
      if (name.endsWith('.jsonl'))
        found.push({ claudeSessionId: name.slice(0, -'.jsonl'.length), path: join(projects, workspace, name) })
  return found
}
