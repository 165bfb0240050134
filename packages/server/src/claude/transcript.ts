import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { at, openFolder } from './in-home.ts'

/** Where claude keeps its conversations, below CLAUDE_CONFIG_DIR: a folder a workspace, a file a conversation. */
export const projectsFolder = ['.claude', 'projects'] as const

export const transcriptName = (claudeSessionId: string): string => `${claudeSessionId}.jsonl`

/** The folder of a workspace's conversations, as claude names it. */
export const projectName = (workspace: string): string => workspace.replaceAll(/[^a-zA-Z0-9]/g, '-')

/** Removes what claude wrote down of a conversation, and what was set aside of it. `claudeSessionId` is a UUID (see decode). */
export const removeTranscript = async (home: string, claudeSessionId: string): Promise<void> => {
  try {
    await using projects = await openFolder(home, ...projectsFolder)
    for (const workspace of await readdir(at(projects))) {
      await using folder = await openFolder(home, ...projectsFolder, workspace).catch(() => undefined)
      if (folder === undefined) continue
      for (const name of await readdir(at(folder)))
        if (name.startsWith(claudeSessionId)) await rm(at(folder, name), { recursive: true, force: true })
    }
  } catch {
    // No conversation yet.
  }
}

/** Every conversation that claude has written down in this home. */
export const listTranscripts = async (home: string): Promise<{ claudeSessionId: string; path: string }[]> => {
  const projects = join(home, ...projectsFolder)
  const found = []
  for (const workspace of await readdir(projects).catch(() => []))
    for (const name of await readdir(join(projects, workspace)).catch(() => []))
      if (name.endsWith('.jsonl'))
        found.push({ claudeSessionId: name.slice(0, -'.jsonl'.length), path: join(projects, workspace, name) })
  return found
}
