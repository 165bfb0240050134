import { Type, type Static } from 'typebox'
import { ContentBlock } from '../content.ts'
import { message } from './base.ts'

/** An accepted prompt: from here on it is on disk and will be answered by a `complete` of the same `turnId`. */
export const PromptMessage = message('prompt', {
  content: Type.Array(ContentBlock),
  userId: Type.String({ description: 'Who sent it' }),
})
export type PromptMessage = Static<typeof PromptMessage>
