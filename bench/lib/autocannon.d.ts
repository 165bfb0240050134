/** autocannon brings no types: what is used of it here. */
declare module 'autocannon' {
  namespace autocannon {
    type Request = {
      method?: string
      path?: string
      headers?: Record<string, string>
      body?: string
      setupRequest?: (request: Request) => Request
    }
    type Client = { setRequests(requests: Request[]): void }
    type Options = {
      url: string
      headers?: Record<string, string>
      connections: number
      /** Seconds. */
      duration?: number
      amount?: number
      requests?: Request[]
      setupClient?: (client: Client) => void
    }
    type Run = { on(event: 'response', listener: () => void): void }
    type Result = {
      errors: number
      /** Seconds. */
      duration: number
      requests: { total: number }
      statusCodeStats: Record<string, { count: number }>
    }
  }
  function autocannon(options: autocannon.Options): Promise<autocannon.Result> & autocannon.Run
  export default autocannon
}
