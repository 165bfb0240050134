import { Type, type Static } from 'typebox'
import { message } from './base.ts'

/** What `claude` says of itself when a process starts, and again when it changes. */
export const MetadataMessage = message('metadata', {
  model: Type.Optional(Type.String()),
  claudeVersion: Type.Optional(Type.String()),
  permissionMode: Type.Optional(Type.String()),
  cwd: Type.Optional(Type.String()),
  tools: Type.Optional(Type.Array(Type.String())),
  generation: Type.Integer({ description: 'Which process of this session: 1 is the first' }),
})
export type MetadataMessage = Static<typeof MetadataMessage>
