import { Type, type Static } from 'typebox'
import { message } from './base.ts'

export const Usage = Type.Object({
  inputTokens: Type.Integer(),
  outputTokens: Type.Integer(),
  cacheReadTokens: Type.Integer(),
  cacheWriteTokens: Type.Integer(),
})
export type Usage = Static<typeof Usage>

/** The turn ended: exactly one for each `prompt`. `reason` is claude's terminal reason or a failure code. */
export const CompleteMessage = message('complete', {
  result: Type.Union([Type.Literal('success'), Type.Literal('error'), Type.Literal('interrupted')]),
  reason: Type.String(),
  text: Type.Optional(Type.String({ description: 'The final answer, or the error in words' })),
  usage: Type.Optional(Usage),
  costUsd: Type.Optional(Type.Number({ description: 'Of this turn' })),
  durationMs: Type.Optional(Type.Number()),
  apiDurationMs: Type.Optional(Type.Number()),
  numTurns: Type.Optional(Type.Integer({ description: 'Model calls in this turn' })),
})
export type CompleteMessage = Static<typeof CompleteMessage>
