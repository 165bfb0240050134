import { readFile } from 'node:fs/promises'
import tls from 'node:tls'
import { usageError } from './cli-error.ts'

/** Certificates signed by the authority in this PEM file are good for everything this process connects to from now on. */
export const trustAuthority = async (path: string): Promise<void> => {
  const pem = await readFile(path, 'utf8').catch((error: unknown) => {
    throw usageError(`The certificate ${path} cannot be read: ${error instanceof Error ? error.message : error}.`)
  })
  // Node 24 before 24.5 has it not.
  if (typeof tls.setDefaultCACertificates !== 'function')
    throw usageError('This Node is too old for --ca.', `Use NODE_EXTRA_CA_CERTS=${path} instead.`)
  try {
    tls.setDefaultCACertificates([...tls.getCACertificates('default'), pem])
  } catch {
    throw usageError(`${path} holds no certificate.`, 'It must be a PEM file.')
  }
}
