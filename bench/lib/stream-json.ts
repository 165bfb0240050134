/** The text that claude's partial messages add up to. */
export const textOfLines = (received: readonly Buffer[]): string =>
  Buffer.concat(received)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.includes('"text_delta"'))
    .map((line): string => JSON.parse(line).event.delta.text)
    .join('')
