import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import { AppError } from '../lib/app-error.ts'

/** What a sandbox has of its own in these places: the host's would undo its walls. */
const ownPlaces = ['/proc', '/sys', '/dev']

const isWithin = (path: string, folder: string): boolean => `${path}${sep}`.startsWith(`${folder}${sep}`)

/**
 * Rejects with invalid_request where a session must not be shown this. Looked at before each start too: whoever can write on
 * the way may have put a link there meanwhile.
 */
export const assertMountable = async (path: string, dataDir: string): Promise<void> => {
  const refuse = (why: string): never => {
    throw new AppError('invalid_request', `${path} cannot be a read-only mount: ${why}.`, {
      hint: 'Give the absolute path of a folder or file that holds nothing of the server’s.',
    })
  }
  const real = await realpath(path).catch(() => refuse('it does not exist'))
  if (real !== path) refuse(`it leads to ${real}`)
  const data = await realpath(dataDir)
  if (path === sep || isWithin(data, path) || isWithin(path, data)) refuse("it would show the server's own data")
  if (path === '/tmp' || ownPlaces.some((place) => isWithin(path, place)))
    refuse('sessions have one of their own there')
}
