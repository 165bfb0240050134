// A user who asks a thousand times a second, half of it over HTTP and half over a WebSocket, and listens to no refusal. Its
// argument is a `Flood` in JSON. It floods between the lines `on` and `off` on stdin, and prints how often it has asked then.
import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'

export type Flood = { url: string; token: string; sessionId: string; perSecond: number }

const { url, token, sessionId, perSecond }: Flood = JSON.parse(process.argv[2] ?? '')
const everyMs = 10
const reconnectMs = 200
const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
const agent = new Agent({ keepAlive: true, maxSockets: 16 })
let socket: WebSocket | undefined
let asked = 0
let timer: NodeJS.Timeout | undefined

const connect = (): void => {
  const opened = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { headers })
  opened.on('error', () => undefined)
  opened.on('open', () => (socket = opened))
  opened.on('close', () => {
    socket = undefined
    setTimeout(connect, reconnectMs)
  })
}

const post = (): void => {
  const sent = request(`${url}/v1/sessions/${sessionId}/execute`, { method: 'POST', headers, agent }, (answer) =>
    answer.resume(),
  )
  sent.on('error', () => undefined)
  sent.end('{"prompt":"@tokens(5)"}')
}

const flood = (): void => {
  for (let count = 0; count < (perSecond * everyMs) / 2000; count++) {
    asked += 2
    post()
    if (socket?.readyState === WebSocket.OPEN)
      socket.send(JSON.stringify({ type: 'execute', ref: 'flood', sessionId, prompt: '@tokens(5)' }))
    else post()
  }
}

connect()
createInterface({ input: process.stdin }).on('line', (line) => {
  clearInterval(timer)
  if (line === 'on') timer = setInterval(flood, everyMs)
  else process.stdout.write(`asked ${asked}\n`)
})
process.stdout.write('ready\n')
