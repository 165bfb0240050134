/** How far from its end a chunk is looked through by `createEndMarker`. */
const endBytes = 1024

/** Tells whether a byte stream has contained `text` yet, also across the border of two chunks. */
export const createMarker = (text: string): ((chunk: Buffer) => boolean) => {
  const wanted = Buffer.from(text)
  let tail = Buffer.alloc(0)
  let found = false
  return (chunk) => {
    if (found) return true
    const border = Buffer.concat([tail, chunk.subarray(0, wanted.length)])
    found = chunk.includes(wanted) || border.includes(wanted)
    tail = Buffer.concat([tail, chunk.subarray(-wanted.length)]).subarray(-wanted.length)
    return found
  }
}

/** The same for a text that is among the last bytes of what is waited for: the rest costs no search. */
export const createEndMarker = (text: string): ((chunk: Buffer) => boolean) => {
  const has = createMarker(text)
  return (chunk) => has(chunk.subarray(-endBytes))
}
