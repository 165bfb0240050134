/** A value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Run-time state beside the log: process identities, journal cursors, settings. Keys are paths such as `process/ses_…`. */
export type KeyValueStore = {
  get(key: string): Promise<Json | undefined>
  /** Resolves once a crash of the server can no longer undo it. */
  put(key: string, value: Json): Promise<void>
  delete(key: string): Promise<void>
  /** In key order. */
  list(prefix: string): Promise<{ key: string; value: Json }[]>
  [Symbol.asyncDispose](): Promise<void>
}
