import type { ContentBlock, Execute } from '@aicm/protocol'
import { AppError } from '../lib/app-error.ts'
import { newUuid } from '../lib/id.ts'

/** A prompt as it came in, in its one inner form. `isNew`: its id was made here, so it cannot be there already. */
export const promptOf = (body: Execute): { turnId: string; content: ContentBlock[]; isNew: boolean } => {
  if ((body.prompt === undefined) === (body.content === undefined))
    throw new AppError('invalid_request', 'Give either prompt (text) or content (blocks).')
  return {
    ...{ turnId: body.id ?? newUuid(), isNew: body.id === undefined },
    content: body.content ?? [{ type: 'text', text: body.prompt ?? '' }],
  }
}
