import { readdir, type FileHandle } from 'node:fs/promises'
import { at, openFolder, openPlain } from './in-home.ts'
import { projectName, projectsFolder, transcriptName } from './transcript.ts'

export type ToolUse = { id: string; name: string }

/** What claude will find when it resumes a conversation. */
export type TranscriptState = {
  /** False: claude will say that there is no such conversation. */
  found: boolean
  /** Calls of the last turn whose result is not in the transcript: such a tool has run, has run in part, or has not run. */
  openToolUses: ToolUse[]
  /** Every tool call of the last turn has its result: the turn can go on without asking anybody. */
  complete: boolean
}

export type TranscriptPlace = { home: string; workspace: string; claudeSessionId: string }

/** What keeps claude from the whole conversation. Offsets are bytes. */
export type Damage = {
  /** The last good line ends here, before `size` when a power cut left half a line or NULs behind it. */
  goodEnd: number
  size: number
  /** The mark that leads claude to the newest message, where it would not get there by itself. */
  newestMark: Record<string, unknown> | undefined
}

export const notFound: TranscriptState = { found: false, openToolUses: [], complete: false }

export type OpenTranscript = AsyncDisposable & { folder: FileHandle; file: FileHandle; size: number }

/** In the folder of its workspace, else wherever it is: claude finds it there too when a workspace was moved. */
export const openTranscript = async (place: TranscriptPlace): Promise<OpenTranscript | undefined> => {
  const openIn = async (project: string): Promise<OpenTranscript | undefined> => {
    let folder: FileHandle | undefined
    try {
      folder = await openFolder(place.home, ...projectsFolder, project)
      const opened = { folder, ...(await openPlain(folder, transcriptName(place.claudeSessionId))) }
      const close = async (): Promise<void> => void (await Promise.all([opened.file.close(), opened.folder.close()]))
      return { ...opened, [Symbol.asyncDispose]: close }
    } catch {
      await folder?.close()
      return undefined
    }
  }
  const own = projectName(place.workspace)
  const found = await openIn(own)
  if (found !== undefined) return found
  try {
    await using projects = await openFolder(place.home, ...projectsFolder)
    for (const project of await readdir(at(projects))) {
      const elsewhere = project === own ? undefined : await openIn(project)
      if (elsewhere !== undefined) return elsewhere
    }
  } catch {
    // It has no conversation yet.
  }
  return undefined
}

/** Read from the end at first; more when that does not tell enough. Damage further back than the last is left to claude. */
const windows = [256 * 1024, 4 * 1024 * 1024, 64 * 1024 * 1024]

/** Looks at the end of a transcript, before `--resume`. Reads only. */
export const checkTranscript = async ({
  file,
  size,
}: Pick<OpenTranscript, 'file' | 'size'>): Promise<{ state: TranscriptState; damage: Damage | undefined }> => {
  for (const [index, window] of windows.entries()) {
    const start = Math.max(0, size - window)
    const bytes = Buffer.alloc(size - start)
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    const tail = readTail(bytes.subarray(0, bytesRead), start)
    if (start > 0 && index < windows.length - 1 && !tellsEnough(tail)) continue
    return conclude(tail, size)
  }
  return { state: notFound, damage: undefined }
}

/** A message of the conversation itself, not of a sub-agent's. */
type Entry = { uuid: string; parent: string | null; isPrompt: boolean; uses: ToolUse[]; results: string[] }

type Tail = {
  entries: Map<string, Entry>
  newest: Entry | undefined
  /** Where claude will look for the newest message: it notes its leaf now and then. */
  mark: Record<string, unknown> | undefined
  goodEnd: number
  whole: boolean
}

const newline = 10

const readTail = (bytes: Buffer, offset: number): Tail => {
  const tail: Tail = { entries: new Map(), newest: undefined, mark: undefined, goodEnd: 0, whole: offset === 0 }
  // The first line of a part of the file is the end of one.
  let from = tail.whole ? 0 : bytes.indexOf(newline) + 1
  while (from < bytes.length) {
    const found = bytes.indexOf(newline, from)
    const end = found < 0 ? bytes.length : found
    const value = parse(bytes.toString('utf8', from, end))
    if (value !== undefined) {
      tail.goodEnd = offset + Math.min(end + 1, bytes.length)
      if (value['type'] === 'last-prompt') tail.mark = value
      const entry = entryOf(value)
      if (entry !== undefined) {
        tail.entries.delete(entry.uuid)
        tail.entries.set(entry.uuid, entry)
        tail.newest = entry
      }
    }
    from = end + 1
  }
  return tail
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const parse = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line)
    return isRecord(value) ? value : {}
  } catch {
    return undefined
  }
}

const entryOf = (value: Record<string, unknown>): Entry | undefined => {
  const { uuid, parentUuid, message } = value
  if (typeof uuid !== 'string' || value['isSidechain'] === true) return undefined
  const content = isRecord(message) ? message['content'] : undefined
  const blocks = Array.isArray(content) ? content.filter(isRecord) : []
  const results = blocks.flatMap(({ type, tool_use_id: id }) => (type === 'tool_result' ? [String(id)] : []))
  return {
    uuid,
    parent: typeof parentUuid === 'string' ? parentUuid : null,
    isPrompt: value['type'] === 'user' && value['isMeta'] !== true && results.length === 0,
    uses: blocks.flatMap(({ type, id, name }) => (type === 'tool_use' ? [{ id: String(id), name: String(name) }] : [])),
    results,
  }
}

/**
 * How far claude gets from the newest message. It looks for the newest one that descends from its mark. Where a message between
 * them is missing it finds none, and goes on from the mark: all that came after is forgotten. Everywhere else it mends a
 * gap by itself.
 */
const walk = ({ entries, newest, mark }: Tail): 'reaches the mark' | 'ends at a gap' | 'ends at the root' => {
  const seen = new Set<string>()
  let entry = newest
  while (entry !== undefined && !seen.has(entry.uuid)) {
    if (entry.uuid === mark?.['leafUuid']) return 'reaches the mark'
    if (entry.parent === null) return 'ends at the root'
    seen.add(entry.uuid)
    entry = entries.get(entry.parent)
  }
  return 'ends at a gap'
}

const lastTurn = ({ entries }: Tail): Entry[] => {
  const all = [...entries.values()]
  return all.slice(
    Math.max(
      0,
      all.findLastIndex(({ isPrompt }) => isPrompt),
    ),
  )
}

const tellsEnough = (tail: Tail): boolean =>
  lastTurn(tail)[0]?.isPrompt === true && walk(tail) === 'reaches the mark' && tail.goodEnd > 0

const conclude = (tail: Tail, size: number): { state: TranscriptState; damage: Damage | undefined } => {
  const { entries, newest, mark, goodEnd } = tail
  // Nothing that could be mended: claude will say that there is no conversation.
  if (newest === undefined) return { state: notFound, damage: undefined }
  const turn = lastTurn(tail)
  const results = new Set(turn.flatMap((entry) => entry.results))
  const openToolUses = turn.flatMap(({ uses }) => uses).filter(({ id }) => !results.has(id))
  const isLost = entries.has(String(mark?.['leafUuid'])) && walk(tail) === 'ends at a gap'
  const newestMark = isLost ? { ...mark, leafUuid: newest.uuid } : undefined
  return {
    state: { found: true, openToolUses, complete: openToolUses.length === 0 },
    damage: goodEnd < size || newestMark !== undefined ? { goodEnd, size, newestMark } : undefined,
  }
}
