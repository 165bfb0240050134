import { Type, type Static } from 'typebox'
import { message } from './base.ts'

/** Something takes its time, and why: `kind` is for programs (`api_retry`, `compacting`, `task`, …), `text` for people. */
export const ProgressMessage = message('progress', {
  kind: Type.String(),
  text: Type.String(),
  data: Type.Optional(Type.Unknown()),
})
export type ProgressMessage = Static<typeof ProgressMessage>
