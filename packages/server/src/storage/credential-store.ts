/** A credential for the model API. Its secret is sealed: without the key that lies elsewhere this row opens nothing. */
export type CredentialRecord = {
  id: string
  /** Whose own it is; null for a shared one. */
  userId: string | null
  name: string
  kind: 'api-key' | 'auth-token' | 'oauth-token' | 'oauth'
  /** Of a shared one, where it is not the server's. */
  upstream: string | null
  /** JSON of what is secret about it, sealed. */
  sealed: string
  /** The last characters of the secret, for people to tell one from another. */
  hint: string
  enabled: boolean
  createdBy: string
  createdAt: number
  updatedAt: number
}

export type CredentialStore = {
  create(record: CredentialRecord): Promise<void>
  get(id: string): Promise<CredentialRecord | undefined>
  /** Oldest first: the order in which they are tried. */
  listAll(): Promise<CredentialRecord[]>
  update(
    id: string,
    changes: Partial<Pick<CredentialRecord, 'name' | 'sealed' | 'hint' | 'enabled'>> & { updatedAt: number },
  ): Promise<void>
  delete(id: string): Promise<void>
}
