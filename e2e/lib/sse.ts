import type { StreamItem } from '@aicm/protocol'

export type ServerSentEvent = { id: string; item: StreamItem }

/** Reads server-sent events until the answer ends or breaks off: what came whole has been given by then. */
export async function* readEvents(response: Response): AsyncGenerator<ServerSentEvent, void, void> {
  if (response.body === null) return
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of response.body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const fields = new Map(
        part.split('\n').map((line) => {
          const colon = line.indexOf(':')
          return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const
        }),
      )
      const data = fields.get('data')
      if (data !== undefined) yield { id: fields.get('id') ?? '', item: JSON.parse(data) as StreamItem }
    }
  }
}
