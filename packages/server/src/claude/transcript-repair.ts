import { constants } from 'node:fs'
import { link, open, readdir, rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { at, openFolder, readSmall } from './in-home.ts'
import {
  checkTranscript,
  notFound,
  openTranscript,
  type Damage,
  type OpenTranscript,
  type TranscriptPlace,
  type TranscriptState,
} from './transcript-check.ts'
import { transcriptName } from './transcript.ts'

/** What was mended before claude was started, to be told to the user. */
export type Repair = {
  text: string
  /** The damaged file under its new name, in the folder where it was. Null when nothing could be set aside. */
  backup: string | null
}

/** Of a file that was set aside. claude lists only what ends in .jsonl. */
const backupName = (name: string, now: number): string =>
  `${name}.damaged-${new Date(now).toISOString().replaceAll(/[-:.]/g, '')}`

const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** Checks the transcript and mends what would keep claude from it. Never rejects: claude may get along with what is there. */
export const mendTranscript = async (
  place: TranscriptPlace,
  now: number,
): Promise<{ state: TranscriptState; repair: Repair | undefined }> => {
  try {
    await using opened = await openTranscript(place)
    if (opened === undefined) return { state: notFound, repair: undefined }
    const { state, damage } = await checkTranscript(opened)
    if (damage === undefined) return { state, repair: undefined }
    const backup = backupName(transcriptName(place.claudeSessionId), now)
    try {
      await replace(opened, transcriptName(place.claudeSessionId), backup, damage)
      return { state, repair: { text: textOf(damage), backup } }
    } catch (error) {
      return { state, repair: { text: `${textOf(damage)} It could not be mended: ${messageOf(error)}.`, backup: null } }
    }
  } catch {
    return { state: notFound, repair: undefined }
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const textOf = ({ goodEnd, size, newestMark }: Damage): string =>
  [
    "claude's own record of the conversation was damaged, as by a power cut.",
    ...(goodEnd < size ? [`Its last ${size - goodEnd} bytes were unreadable.`] : []),
    ...(newestMark === undefined ? [] : ['A message in it is missing; what came after is joined to what came before.']),
    'The log here is complete.',
  ].join(' ')

/** The whole file anew, then renamed over the old one: whatever happens in between, one of them is there. */
const replace = async (
  { folder, file }: OpenTranscript,
  name: string,
  backup: string,
  { goodEnd, newestMark }: Damage,
): Promise<void> => {
  const mended = `${name}.mended`
  await rm(at(folder, mended), { force: true })
  try {
    const { mode, uid, gid } = await file.stat()
    await using copy = await open(at(folder, mended), create, mode & 0o777)
    await copy.chown(uid, gid)
    await pipeline(file.createReadStream({ start: 0, end: goodEnd - 1, autoClose: false }), async (chunks) => {
      for await (const chunk of chunks) await copy.writeFile(chunk)
    })
    if (newestMark !== undefined) {
      const last = Buffer.alloc(1)
      await file.read(last, 0, 1, goodEnd - 1)
      await copy.writeFile(`${last.toString() === '\n' ? '' : '\n'}${JSON.stringify(newestMark)}\n`)
    }
    await copy.sync()
    await link(at(folder, name), at(folder, backup))
    await rename(at(folder, mended), at(folder, name))
    await folder.sync()
  } catch (error) {
    await rm(at(folder, mended), { force: true })
    throw error
  }
}

const configName = '.claude.json'
/** It holds a few kilobytes; some plugins and servers make it more. */
const maxConfigBytes = 32 * 1024 * 1024
const lookAgainMs = 100

/**
 * claude does not start at all while its settings cannot be read: every session of the user would be lost to an empty file.
 * They are set aside, and the newest of claude's own copies takes their place; without one it starts with none. Never rejects.
 */
export const mendConfig = async (home: string, now: number): Promise<Repair | undefined> => {
  try {
    await using folder = await openFolder(home, '.claude')
    const isDamaged = async (): Promise<boolean> => {
      const text = await readSmall(folder, configName, maxConfigBytes)
      return text !== undefined && !isObject(text)
    }
    if (!(await isDamaged())) return undefined
    // Another session's claude may be writing it just now.
    await delay(lookAgainMs)
    if (!(await isDamaged())) return undefined
    const backup = backupName(configName, now)
    const copy = await newestCopy(home)
    await rename(at(folder, configName), at(folder, backup))
    if (copy !== undefined) {
      await using file = await open(at(folder, configName), create, 0o600)
      const { uid, gid } = await folder.stat()
      await file.chown(uid, gid)
      await file.writeFile(copy)
      await file.sync()
    }
    return {
      text: `claude's own settings were damaged, as by a power cut: ${
        copy === undefined ? 'it starts without them' : "the newest of claude's copies took their place"
      }.`,
      backup,
    }
  } catch {
    // There is none yet, or another start of the same user has just mended it.
    return undefined
  }
}

const isObject = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null
  } catch {
    return false
  }
}

/** claude keeps some, named by their time in milliseconds. */
const newestCopy = async (home: string): Promise<string | undefined> => {
  try {
    await using folder = await openFolder(home, '.claude', 'backups')
    const names = (await readdir(at(folder))).filter((name) => name.startsWith(`${configName}.backup.`))
    for (const name of names.toSorted().toReversed()) {
      const text = await readSmall(folder, name, maxConfigBytes)
      if (text !== undefined && isObject(text)) return text
    }
  } catch {
    // It has made none.
  }
  return undefined
}
