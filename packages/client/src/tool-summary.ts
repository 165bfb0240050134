import { continueTool } from '@aicm/protocol'
import { isRecord, readJson } from './read-json.ts'

/** What says most about a call of each of claude's own tools. */
const telling = [
  'command',
  'file_path',
  'notebook_path',
  'path',
  'pattern',
  'url',
  'query',
  'description',
  'prompt',
  'skill',
]

/** A tool call's input in one line of at most `max` characters, for lists and questions. */
export const toolSummary = (input: unknown, max = 120): string => {
  const fields = typeof input === 'string' ? readJson(input) : input
  const text = isRecord(fields) ? ofFields(fields) : typeof input === 'string' ? input : (JSON.stringify(input) ?? '')
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length <= max ? line : `${line.slice(0, max - 1)}…`
}

/** What an approval asks, in one line. */
export const approvalQuestion = ({ tool, input }: { tool: string; input: unknown }): string =>
  tool === continueTool && isRecord(input) ? String(input['question']) : `Allow ${tool}: ${toolSummary(input, 300)}?`

const ofFields = (fields: Record<string, unknown>): string => {
  const name = telling.find((key) => typeof fields[key] === 'string' && fields[key] !== '')
  if (name !== undefined) return String(fields[name])
  return Object.keys(fields).length === 0 ? '' : JSON.stringify(fields)
}
