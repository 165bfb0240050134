import { randomBytes } from 'node:crypto'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'

const bytes = 32

/** A random secret of 32 bytes in a file that only the owner can read: made on the first call, the same ever after. */
export const secretFile = async (path: string): Promise<Uint8Array> => {
  const fresh = `${path}.${process.pid}.new`
  try {
    return assertWhole(path, await readFile(path))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  await writeFile(fresh, randomBytes(bytes), { mode: 0o600, flush: true })
  try {
    // link, not rename: of two that start at once, the first one's secret stays.
    await link(fresh, path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  } finally {
    await unlink(fresh)
  }
  return assertWhole(path, await readFile(path))
}

/** Throws where the file was truncated: nothing is signed with half a secret. */
export const assertWhole = (path: string, secret: Buffer): Buffer => {
  if (secret.length < bytes)
    throw new Error(
      `${path} is damaged: it must hold ${bytes} bytes. Restore it, or delete it (everybody must log in again then).`,
    )
  return secret
}
