import { execFileSync } from 'node:child_process'
import { renameSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate for this machine, signed by itself: a file each for it and its key. `name` is who it was made for. */
export const makeCertificate = (dir: string, name: string): { cert: string; key: string } => {
  const files = { cert: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) }
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...subject, '-out', files.cert, '-keyout', files.key], { stdio: 'ignore' })
  return files
}

/** Puts one file in another's place, at once. */
export const replaceFile = (path: string, by: string): void => renameSync(by, path)
