// Follows a session twice, by server-sent events and by WebSocket, and says so once both are open: `URL SESSION TOKEN`.
import { get } from 'node:http'
import { WebSocket } from 'ws'

const [url = '', sessionId = '', token = ''] = process.argv.slice(2)
const headers = { authorization: `Bearer ${token}` }

await new Promise((resolve, reject) => {
  get(
    `${url}/v1/sessions/${sessionId}/events`,
    { headers: { ...headers, accept: 'text/event-stream' } },
    (response) => {
      response.on('error', () => undefined).once('data', resolve)
    },
  ).on('error', reject)
})
const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { headers })
socket.on('error', () => undefined)
socket.once('open', () => socket.send(JSON.stringify({ type: 'subscribe', ref: 'r', sessionId })))
socket.on('message', (data) => {
  if (JSON.parse(data.toString()).type === 'subscribed') process.stdout.write('both are open\n')
})
