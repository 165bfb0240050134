import type { Client } from '@aicm/client'
import { inertLine } from '../../inert.ts'

/** Says when the connection is lost for longer than a blink, and when it is back. Returns the way to stop it. */
export const noteReconnects = (client: Client, note: (text: string) => void): (() => void) => {
  let said = false
  return client.connection.onChange((connection) => {
    if (connection.state === 'waiting' && connection.attempt === 3 && !said) {
      said = true
      note(`… ${inertLine(connection.error.message)} Trying again; the turn goes on at the server.`)
    } else if (connection.state === 'open' && said) {
      said = false
      note('… connected again')
    }
  })
}
