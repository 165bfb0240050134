import { Type, type Static } from 'typebox'
import { message } from './base.ts'

/** Everything else `claude` says: what this version does not know is kept here as it came, never dropped. */
export const SystemMessage = message('system', {
  subtype: Type.String({ description: "claude's own name for it, or `unparsed`, `oversized`, `stderr`" }),
  data: Type.Optional(Type.Unknown()),
})
export type SystemMessage = Static<typeof SystemMessage>
