import autocannon from 'autocannon'

export type Target = { url: string; headers?: Record<string, string> }

const connections = 16

const assertAll = (result: autocannon.Result, expected: number): void => {
  const codes = Object.keys(result.statusCodeStats)
  if (result.errors > 0 || codes.length !== 1 || codes[0] !== String(expected))
    throw new Error(
      `Not every answer was ${expected}: ${JSON.stringify(result.statusCodeStats)}, ${result.errors} errors`,
    )
}

/** Requests a second that a route answers to 16 clients, each waiting for its answer. */
export const getRate = async (target: Target, seconds: number): Promise<number> => {
  const result = await autocannon({ ...target, connections, duration: seconds })
  assertAll(result, 200)
  return result.requests.total / result.duration
}

/** The same for `amount` posts, each client to a path of its own. `body` is asked for each time. */
export const postRate = async (
  target: Target,
  options: { amount: number; paths: readonly string[]; body: () => string },
): Promise<number> => {
  let client = 0
  const start = performance.now()
  const run = autocannon({
    ...target,
    connections: options.paths.length,
    amount: options.amount,
    requests: [],
    setupClient: (connection) => {
      const path = options.paths[client++ % options.paths.length] ?? '/'
      connection.setRequests([
        {
          method: 'POST',
          path,
          headers: { ...target.headers, 'content-type': 'application/json' },
          setupRequest: (request) => ({ ...request, body: options.body() }),
        },
      ])
    },
  })
  // autocannon itself ends at a full second.
  let last = start
  run.on('response', () => {
    last = performance.now()
  })
  assertAll(await run, 202)
  return options.amount / ((last - start) / 1000)
}
