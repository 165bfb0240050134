/**
 * PEM of the authorities that git trusts, where the operator has named more than the system has (NODE_EXTRA_CA_CERTS, as for the
 * server's own connections). Undefined: git needs no word about the system's.
 */
export const authoritiesWithExtra = (): string | undefined => {
  // Most clones do without.
  const { getCACertificates } = process.getBuiltinModule('node:tls')
  const extra = getCACertificates('extra')
  // The system's folder holds most of them several times.
  return extra.length === 0 ? undefined : [...new Set([...getCACertificates('system'), ...extra])].join('\n')
}
