import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Draft } from './output.ts'
import { fields, list, parseObject, text, type Fields } from './wire.ts'

/** A message with what is known of its place. */
export type Said = { draft: Draft; turnId: string | undefined; time: string | undefined }

export type Transcript = { cwd: string | undefined; said: Said[] }

/** What claude's own file of a conversation tells of it, of sub-agents nothing. `userId` is whose prompts they are. */
export const readTranscript = async (path: string, userId: string): Promise<Transcript> => {
  const said: Said[] = []
  let cwd: string | undefined
  let turn: { id: string; ended: boolean; text: string | undefined; time: string | undefined } | undefined

  const add = (draft: Draft, time: string | undefined): void => void said.push({ draft, turnId: turn?.id, time })

  const endTurn = (): void => {
    if (turn === undefined) return
    const complete = { type: 'complete', result: 'success', reason: 'completed', text: turn.text } as const
    add(turn.ended ? complete : { ...complete, result: 'interrupted', reason: 'recovered' }, turn.time)
    turn = undefined
  }

  const prompted = (line: Fields, content: unknown[], time: string | undefined): void => {
    const id = text(line['uuid'])
    const texts = content.map((item) => text(fields(item)['text'])).filter((part) => part !== undefined)
    if (id === undefined || texts.length === 0 || line['promptSource'] !== 'sdk') return
    endTurn()
    turn = { id, ended: false, text: undefined, time }
    add({ type: 'prompt', content: texts.map((part) => ({ type: 'text', text: part })), userId }, time)
  }

  const answered = (line: Fields, time: string | undefined): void => {
    const message = fields(line['message'])
    for (const [index, item] of list(message['content']).entries()) {
      const content = fields(item)
      const block = `${text(line['uuid']) ?? ''}.${index}`
      const shown = text(content['text']) ?? text(content['thinking']) ?? ''
      if (content['type'] === 'text' || content['type'] === 'thinking') {
        if (shown !== '') add({ type: content['type'], block, text: shown }, time)
      } else if (content['type'] === 'tool_use')
        add(
          {
            type: 'tool_use',
            block,
            toolUseId: text(content['id']) ?? block,
            name: text(content['name']) ?? 'unknown',
            input: content['input'] ?? {},
          },
          time,
        )
      if (turn !== undefined && content['type'] === 'text') turn.text = shown
    }
    if (turn !== undefined) {
      turn.ended = message['stop_reason'] === 'end_turn'
      turn.time = time
    }
  }

  const take = (line: Fields): void => {
    if (line['isSidechain'] === true || line['isMeta'] === true || line['isCompactSummary'] === true) return
    const time = text(line['timestamp'])
    cwd ??= text(line['cwd'])
    if (line['type'] === 'assistant') return answered(line, time)
    if (line['type'] !== 'user') return
    const content = fields(line['message'])['content']
    if (typeof content === 'string') return prompted(line, [{ text: content }], time)
    const results = list(content)
      .map(fields)
      .filter((block) => block['type'] === 'tool_result')
    for (const block of results)
      add(
        {
          type: 'tool_result',
          toolUseId: text(block['tool_use_id']) ?? '',
          content: block['content'] ?? null,
          isError: block['is_error'] === true,
        },
        time,
      )
    if (results.length === 0) prompted(line, list(content), time)
  }

  // Most lines are none of the conversation, and long.
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
    if (/"type":"(?:user|assistant)"/.test(line)) take(parseObject(line) ?? {})
  if (turn?.ended === true) endTurn()
  return { cwd, said }
}
