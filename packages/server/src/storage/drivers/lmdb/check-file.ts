import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { AppError } from '../../../lib/app-error.ts'

const magic = 0xbeefc0de
const magicAt = 24
const pageSizeAt = 48

const readAt = (file: number, position: number, length: number): Buffer => {
  const buffer = Buffer.alloc(length)
  return buffer.subarray(0, readSync(file, buffer, 0, length, position))
}

const hasMagic = (meta: Buffer): boolean => meta.length >= magicAt + 4 && meta.readUInt32LE(magicAt) === magic

/** LMDB's file begins with two meta pages, made together; the first says how large a page is. */
const isStore = (file: number): boolean => {
  const first = readAt(file, 0, 64)
  if (!hasMagic(first) || first.length < pageSizeAt + 4) return false
  const pageSize = first.readUInt32LE(pageSizeAt)
  return fstatSync(file).size >= 2 * pageSize && hasMagic(readAt(file, pageSize, 64))
}

/**
 * Refuses a store that is none, or was never finished: lmdb would end the process with a segmentation fault, without a word.
 * What is not there yet, or is empty, is fine.
 */
export const checkStoreFile = (folder: string): void => {
  let file: number
  try {
    file = openSync(join(folder, 'data.mdb'), 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  try {
    if (fstatSync(file).size === 0 || isStore(file)) return
  } finally {
    closeSync(file)
  }
  throw new AppError('storage_unavailable', 'data.mdb is not an LMDB store, or it is damaged.', {
    hint: 'Move the folder away to start with a new one. No conversation is in it, only run-time state.',
  })
}
