import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { Audit } from '../../audit/audit.ts'
import type { Log } from '../../lib/log.ts'

export type CertificateFiles = { cert: string; key: string }
export type Certificate = { cert: Buffer; key: Buffer }

/** How often the files are looked at: it works with links that are swapped, and on every file system. */
const lookMs = 1000

/** Rejects with what is wrong with the files, in words. */
export const readCertificate = async ({ cert, key }: CertificateFiles): Promise<Certificate> => {
  const read = (path: string): Promise<Buffer> =>
    readFile(path).catch((cause: unknown) => {
      throw new Error(`${path} cannot be read (${codeOf(cause)}).`, { cause })
    })
  const certificate = { cert: await read(cert), key: await read(key) }
  try {
    createSecureContext(certificate)
  } catch (cause) {
    throw new Error(`${cert} and ${key} are no certificate and its private key in PEM (${codeOf(cause)}).`, { cause })
  }
  return certificate
}

const codeOf = (error: unknown): string =>
  error instanceof Error ? ('code' in error ? String(error.code) : error.message) : String(error)

const stampOf = async ({ cert, key }: CertificateFiles): Promise<string> => {
  const stamps = await Promise.all([cert, key].map((path) => stat(path).catch(() => undefined)))
  return stamps.map((found) => `${found?.ino} ${found?.mtimeMs} ${found?.size}`).join('; ')
}

/** Hands over each new certificate until `signal` is aborted. One that cannot be used is told of, and the old one stays. */
export const watchCertificate = (options: {
  files: CertificateFiles
  use: (certificate: Certificate) => void
  audit: Pick<Audit, 'record'>
  log: Log
  signal: AbortSignal
}): void => {
  const { files, audit, log, signal } = options
  let seen: string | undefined
  let looking = false

  const look = async (): Promise<void> => {
    const stamp = await stampOf(files)
    const changed = seen !== undefined && stamp !== seen
    seen = stamp
    if (!changed) return
    try {
      const certificate = await readCertificate(files)
      options.use(certificate)
      log.info(files, 'a new certificate is used from now on')
      const { fingerprint256: fingerprint, validTo } = new X509Certificate(certificate.cert)
      void audit.record({ action: 'server.certificate', detail: { fingerprint, validTo } })
    } catch (error) {
      log.error({ ...files, err: error }, 'the new certificate cannot be used: the old one stays')
      const reason = error instanceof Error ? error.message : String(error)
      void audit.record({ action: 'server.certificate', result: 'failed', detail: { reason } })
    }
  }

  const timer = setInterval(() => {
    if (looking) return
    looking = true
    void look().finally(() => (looking = false))
  }, lookMs).unref()
  signal.addEventListener('abort', () => clearInterval(timer))
}
